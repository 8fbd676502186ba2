//go:build !wasip1

package tamis

import (
	"unsafe"

	"tamis-sdk/internal/abi"
)

// Elsewhere addresses are places in the room of package abi, and package tamistest asks for the filter.
func init() {
	abi.Configure = func(config []byte, inputs map[string][]byte) (any, error) {
		setup := &Setup{}
		for name, content := range inputs {
			setup.inputs = append(setup.inputs, Field{Name: name, Value: string(content)})
		}
		return configure(config, setup)
	}
}

func address(at uint32) unsafe.Pointer { return abi.Address(at) }

// record is a copy of the area where addresses lead.
func (a *area) record() record {
	return record(abi.Place(unsafe.Slice((*byte)(a.at()), unsafe.Sizeof(*a))))
}
