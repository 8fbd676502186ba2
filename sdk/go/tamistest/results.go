//go:build !wasip1

package tamistest

import (
	"unsafe"

	tamis "tamis-sdk"
	"tamis-sdk/internal/abi"
)

// results is where the host writes what has several parts, in the layout of the canonical ABI.
type results struct{ at unsafe.Pointer }

func (r results) byte(offset int, value uint8)   { *(*uint8)(unsafe.Add(r.at, offset)) = value }
func (r results) short(offset int, value uint16) { *(*uint16)(unsafe.Add(r.at, offset)) = value }
func (r results) word(offset int, value uint32)  { *(*uint32)(unsafe.Add(r.at, offset)) = value }
func (r results) long(offset int, value uint64)  { *(*uint64)(unsafe.Add(r.at, offset)) = value }

// text puts bytes into the room, and says where.
func (r results) text(offset int, text string) {
	r.word(offset, abi.Place([]byte(text)))
	r.word(offset+4, uint32(len(text)))
}

func (r results) some(offset int, text string, found bool) {
	r.byte(offset, flag(found))
	if found {
		r.text(offset+4, text)
	}
}

// done is a result with nothing, or with a reason.
func (r results) done(err error) {
	r.byte(0, flag(err != nil))
	if err != nil {
		r.text(4, err.Error())
	}
}

// list puts so many records of a size into the room. Each is filled in where it stands, before the next thing is placed there.
func (r results) list(offset, count, size int, fill func(index int, record results)) {
	records := make([]byte, count*size+8)
	for index := range count {
		fill(index, results{unsafe.Pointer(&records[index*size])})
	}
	r.word(offset, abi.Place(records))
	r.word(offset+4, uint32(count))
}

func (r results) texts(offset int, texts []string) {
	r.list(offset, len(texts), 8, func(index int, record results) { record.text(0, texts[index]) })
}

func (r results) fields(offset int, fields []tamis.Field) {
	r.list(offset, len(fields), 16, func(index int, record results) {
		record.text(0, fields[index].Name)
		record.text(8, fields[index].Value)
	})
}

func flag(set bool) uint8 {
	if set {
		return 1
	}
	return 0
}

// taken reads a list that the filter hands over. It is one piece of memory, whose pointers have lost their upper half: what they
// point to is as far from its beginning as they are.
type taken struct {
	base  unsafe.Pointer
	count int
}

func take(list string) taken { return taken{unsafe.Pointer(unsafe.StringData(list)), len(list)} }

func (t taken) word(at uint32) uint32 { return *(*uint32)(unsafe.Add(t.base, at)) }

// at is how far away what a pointer names is.
func (t taken) at(pointer uint32) uint32 { return pointer - uint32(uintptr(t.base)) }

func (t taken) text(at uint32) string {
	from, length := t.at(t.word(at)), t.word(at+4)
	if length == 0 {
		return ""
	}
	return string(unsafe.Slice((*byte)(unsafe.Add(t.base, from)), length))
}

func (t taken) fieldsAt(at uint32) []tamis.Field {
	from, count := t.at(t.word(at)), t.word(at+4)
	fields := make([]tamis.Field, count)
	for index := range fields {
		record := from + uint32(index)*16
		fields[index] = tamis.Field{Name: t.text(record), Value: t.text(record + 8)}
	}
	return fields
}

func (t taken) fields() []tamis.Field {
	fields := make([]tamis.Field, t.count)
	for index := range fields {
		record := uint32(index) * 16
		fields[index] = tamis.Field{Name: t.text(record), Value: t.text(record + 8)}
	}
	return fields
}

func (t taken) texts() []string {
	texts := make([]string, t.count)
	for index := range texts {
		texts[index] = t.text(uint32(index) * 8)
	}
	return texts
}
