package recycle

import (
	"testing"
	"unsafe"
)

func TestClass(t *testing.T) {
	for _, size := range []int{least, least + 1, 40_000, 65_536, 65_537, 1<<20 - 1, 3 << 20, 512 << 20} {
		got := class(size)
		if got < size || got > size+size/4 || class(got) != got {
			t.Errorf("class of %d is %d", size, got)
		}
	}
}

func TestFreedMemoryComesBackAsZeros(t *testing.T) {
	a := New(1 << 20)
	first := a.Allocate(100_000)
	for i := range first {
		first[i] = 0xff
	}
	a.Free(first[:10]) // as Arrow does, cut to what was used
	second := a.Allocate(99_000)
	if unsafe.SliceData(first) != unsafe.SliceData(second) || len(second) != 99_000 {
		t.Fatal("the freed slice wasn't used")
	}
	for i, b := range second {
		if b != 0 {
			t.Fatalf("byte %d is %d", i, b)
		}
	}
	if third := a.Allocate(99_000); unsafe.SliceData(third) == unsafe.SliceData(second) {
		t.Error("one slice is out twice")
	}
}

func TestNothingIsFreedTwice(t *testing.T) {
	a := New(1 << 20)
	b := a.Allocate(50_000)
	a.Free(b)
	a.Free(b)
	a.Free(make([]byte, class(50_000))) // not from here
	if a.kept != class(50_000) {
		t.Errorf("%d bytes kept", a.kept)
	}
}

func TestReallocate(t *testing.T) {
	a := New(1 << 20)
	b := a.Allocate(40_000)
	b[39_999] = 7
	grown := a.Reallocate(90_000, b)
	if grown[39_999] != 7 || grown[40_000] != 0 || len(grown) != 90_000 {
		t.Error("the beginning is another one")
	}
	if a.kept != class(40_000) {
		t.Errorf("%d bytes kept", a.kept)
	}
	if less := a.Reallocate(5, grown); len(less) != 5 || less[0] != grown[0] {
		t.Error("not the beginning")
	}
}

func TestWhatGrowsIntoFreedMemoryHoldsZerosBehind(t *testing.T) {
	a := New(1 << 20)
	used := a.Allocate(90_000)
	for i := range used {
		used[i] = 0xff
	}
	a.Free(used)
	b := a.Allocate(40_000)
	b[39_999] = 7
	grown := a.Reallocate(90_000, b)
	if unsafe.SliceData(grown) != unsafe.SliceData(used) || grown[39_999] != 7 || grown[0] != 0 {
		t.Fatal("not the freed memory, or not with the same beginning")
	}
	for i, b := range grown[40_000:] {
		if b != 0 {
			t.Fatalf("byte %d is %d", 40_000+i, b)
		}
	}
}

func TestItKeepsNoMoreThanItMay(t *testing.T) {
	a := New(100_000)
	for _, b := range [][]byte{a.Allocate(60_000), a.Allocate(60_000), a.Allocate(60_000)} {
		a.Free(b)
	}
	if a.kept > 100_000 || a.kept == 0 {
		t.Errorf("%d bytes kept", a.kept)
	}
	small := a.Allocate(100)
	a.Free(small)
	if len(a.free) != 1 || len(a.out) != 0 {
		t.Error("a small slice is kept, or one that is freed is out")
	}
}
