//go:build soak

package integration_test

// nodeQueries is how many queries run while coordinators join and go.
const nodeQueries = 2000
