package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// Self is what a coordinator tells of itself.
func (c *Client) Self(ctx context.Context) (*concordatv1.SelfResponse, error) {
	return Unary(ctx, c, &concordatv1.SelfRequest{}, Services.Self)
}

// Membership are the coordinators of the ledger, with all changes that were signed.
func (c *Client) Membership(ctx context.Context) (*concordatv1.MembershipResponse, error) {
	return Unary(ctx, c, &concordatv1.MembershipRequest{}, Services.Membership)
}

// ChangeNodes hands in a signed statement about coordinators.
func (c *Client) ChangeNodes(ctx context.Context, statement []byte) (*concordatv1.MembershipResponse, error) {
	return Unary(ctx, c, &concordatv1.ChangeNodesRequest{Statement: statement}, Services.ChangeNodes)
}

// Backup writes the coordinators' sealed state. It is not tried again once something was written.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	return c.Do(ctx, func(ctx context.Context, s Services) error {
		stream, err := s.Backup(ctx, connect.NewRequest(&concordatv1.BackupRequest{}))
		if err != nil {
			return err
		}
		begun := false
		for stream.Receive() {
			for _, part := range [][]byte{stream.Msg().GetHeader(), stream.Msg().GetData()} {
				if _, err := w.Write(part); err != nil {
					return errors.Join(fmt.Errorf("write the backup: %w", err), stream.Close())
				}
				begun = begun || len(part) > 0
			}
		}
		if err := errors.Join(stream.Err(), stream.Close()); err != nil {
			if begun {
				return fmt.Errorf("the backup broke off, discard it: %s", err) //nolint:errorlint // not wrapped, or it would be tried again behind what is written
			}
			return err
		}
		return nil
	})
}

const recoverChunk = 1 << 20

// Recover hands a recovery to the one coordinator of this client, which waits for it, with the sealed part of a backup, or nil where its disk
// holds the state. It returns the index of the recovery in the log.
func (c *Client) Recover(ctx context.Context, statement []byte, sealed io.Reader) (int64, error) {
	stream := c.at.Load().services[0].Recover(ctx)
	err := stream.Send(&concordatv1.RecoverChunk{Statement: statement})
	for buf := make([]byte, recoverChunk); sealed != nil && err == nil; {
		n, read := io.ReadFull(sealed, buf)
		if n > 0 {
			err = stream.Send(&concordatv1.RecoverChunk{Data: buf[:n]})
		}
		if errors.Is(read, io.EOF) || errors.Is(read, io.ErrUnexpectedEOF) {
			break
		}
		if read != nil {
			return 0, fmt.Errorf("read the backup: %w", read)
		}
	}
	response, closed := stream.CloseAndReceive()
	if closed != nil { // says why, where sending only says that it ended
		return 0, closed
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return response.Msg.GetIndex(), nil
}
