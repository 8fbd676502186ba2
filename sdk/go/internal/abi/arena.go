//go:build wasip1

package abi

import "unsafe"

// The proxy puts what it hands over where this tells it to. Go cannot export such a function: while the proxy hands something
// over nobody may call out, and the garbage collector looks at the clock. So the proxy brings it along, and exports what is
// imported here as `cabi_realloc`.
//
//go:wasmimport tamis realloc
func realloc(old, oldSize, align, size uint32) unsafe.Pointer

// Release gives back everything that the proxy handed over.
//
//go:wasmimport tamis release
func Release()

// Go takes the whole memory for its own and would write where others grew it, so the room is a piece of Go's heap.
//
//go:wasmimport tamis lend
func lend(at unsafe.Pointer, size uint32)

// roomBytes is enough for heads, pieces of bodies and values of stores, and for inputs of that size.
const roomBytes = 1 << 20

// Rooms that are lent: the present one, and the one before it, whose content somebody may be in the middle of copying.
var room, before []byte

// Reserve makes room for so many bytes, whatever else comes with them.
func Reserve(bytes int) {
	if size := bytes + roomBytes/2; size > len(room) {
		before, room = room, make([]byte, size)
		lend(unsafe.Pointer(unsafe.SliceData(room)), uint32(size))
	}
}

// What is imported must be in use, or the linker leaves it out.
func init() {
	realloc(0, 0, 1, 0)
	Reserve(roomBytes / 2)
}
