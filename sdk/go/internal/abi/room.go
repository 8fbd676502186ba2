//go:build !wasip1

package abi

import "unsafe"

// Configure configures the filter of the program; package tamis puts it here.
var Configure func(config []byte, inputs map[string][]byte) (any, error)

// room is where a test puts what it hands over, in words, so that numbers are where they belong. An address is a place in it,
// since pointers have more bits than the proxy's. The first word is nobody's.
var room = make([]uint64, 1)

// Place puts bytes into the room.
func Place(bytes []byte) uint32 {
	at := len(room)
	room = append(room, make([]uint64, (len(bytes)+7)/8)...)
	if len(bytes) > 0 {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&room[at])), len(bytes)), bytes)
	}
	return uint32(at * 8)
}

// Address is where that is at present.
func Address(at uint32) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(unsafe.SliceData(room)), at)
}

// Release gives back everything that was handed over.
func Release() { room = room[:1] }

// Reserve makes room for so many bytes, which here there always is.
func Reserve(int) {}
