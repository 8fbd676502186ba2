//go:build wasip1

package tamis

import "unsafe"

// address is a pointer to memory of the proxy's making, which the garbage collector knows nothing of.
func address(at uint32) unsafe.Pointer {
	wide := uintptr(at)
	return *(*unsafe.Pointer)(unsafe.Pointer(&wide))
}

// record is the area itself.
func (a *area) record() record { return record(uint32(uintptr(a.at()))) }
