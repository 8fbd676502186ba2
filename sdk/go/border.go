package tamis

import (
	"strings"
	"unicode/utf8"
	"unsafe"

	"tamis-sdk/internal/abi"
)

// area is where the proxy puts results that have several parts, in the layout of the canonical ABI.
type area [8]uint64

var (
	// shared serves calls that do not overlap, which is nearly all of them.
	shared area
	// open counts calls whose results are not copied yet; other goroutines may have some.
	open int
)

// enter begins a call whose results the proxy writes into the area.
func enter() *area {
	open++
	if open == 1 {
		return &shared
	}
	return new(area)
}

// leave ends it: what came is copied by now.
func leave() {
	open--
	if open == 0 {
		abi.Release()
	}
}

func (a *area) at() unsafe.Pointer { return unsafe.Pointer(a) }

func (a *area) byte(offset uintptr) uint8  { return *(*uint8)(unsafe.Add(a.at(), offset)) }
func (a *area) word(offset uintptr) uint32 { return *(*uint32)(unsafe.Add(a.at(), offset)) }
func (a *area) long(offset uintptr) uint64 { return *(*uint64)(unsafe.Add(a.at(), offset)) }

// text is a copy of the string or list of bytes whose pointer and length stand there.
func (a *area) text(offset uintptr) string { return string(memory(a.word(offset), a.word(offset+4))) }

func (a *area) bytes(offset uintptr) []byte {
	return append([]byte{}, memory(a.word(offset), a.word(offset+4))...)
}

// optional is an option of a string.
func (a *area) optional(offset uintptr) (string, bool) {
	if a.byte(offset) == 0 {
		return "", false
	}
	return a.text(offset + 4), true
}

// refused is the error of a result that is a string.
func (a *area) refused() error {
	if a.byte(0) == 0 {
		return nil
	}
	return Refused(a.text(4))
}

// list has one string for each element.
func (a *area) list(offset uintptr) []string {
	records := a.records(offset, 8)
	values := make([]string, len(records))
	for index, record := range records {
		values[index] = record.text(0)
	}
	return values
}

func (a *area) records(offset uintptr, size uint32) []record {
	base, count := a.word(offset), a.word(offset+4)
	records := make([]record, count)
	for index := range records {
		records[index] = record(base + uint32(index)*size)
	}
	return records
}

// record is the address of one in memory that the proxy wrote.
type record uint32

func (r record) at(offset uint32) unsafe.Pointer { return address(uint32(r) + offset) }
func (r record) byte(offset uint32) uint8        { return *(*uint8)(r.at(offset)) }
func (r record) short(offset uint32) uint16      { return *(*uint16)(r.at(offset)) }
func (r record) word(offset uint32) uint32       { return *(*uint32)(r.at(offset)) }
func (r record) long(offset uint32) uint64       { return *(*uint64)(r.at(offset)) }
func (r record) text(offset uint32) string {
	return string(memory(r.word(offset), r.word(offset+4)))
}

func (r record) bytes(offset uint32) []byte {
	return append([]byte{}, memory(r.word(offset), r.word(offset+4))...)
}

func (r record) fields(offset uint32) []Field {
	base, count := r.word(offset), r.word(offset+4)
	fields := make([]Field, count)
	for index := range fields {
		field := record(base + uint32(index)*16)
		fields[index] = Field{Name: field.text(0), Value: field.text(8)}
	}
	return fields
}

func memory(at, length uint32) []byte {
	if length == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(address(at)), length)
}

// clean makes text of what may be any bytes: the proxy takes UTF-8 only where text is meant.
func clean(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// plain hands bytes over without a copy.
func plain(bytes []byte) string {
	return unsafe.String(unsafe.SliceData(bytes), len(bytes))
}

// packed is a list of records on its way to the proxy: all of it in one piece of the heap, which does not move.
type packed struct {
	room []uint64
	used uint32
}

// pack has room for so many bytes; what is aligned takes up to 7 more.
func pack(size int) *packed { return &packed{room: make([]uint64, (size+7)/8+1)} }

func (p *packed) take(size, align uint32) uint32 {
	at := (p.used + align - 1) &^ (align - 1)
	p.used = at + size
	return at
}

func (p *packed) base() unsafe.Pointer           { return unsafe.Pointer(unsafe.SliceData(p.room)) }
func (p *packed) pointer(at uint32) uint32       { return uint32(uintptr(p.base())) + at }
func (p *packed) byte(at uint32, value uint8)    { *(*uint8)(unsafe.Add(p.base(), at)) = value }
func (p *packed) word(at uint32, value uint32)   { *(*uint32)(unsafe.Add(p.base(), at)) = value }
func (p *packed) long(at uint32, value uint64)   { *(*uint64)(unsafe.Add(p.base(), at)) = value }
func (p *packed) pair(at, pointer, count uint32) { p.word(at, pointer); p.word(at+4, count) }

// text puts a string: its bytes somewhere, its pointer and length here.
func (p *packed) text(at uint32, text string) {
	to := p.take(uint32(len(text)), 1)
	copy(unsafe.Slice((*byte)(p.base()), len(p.room)*8)[to:], text)
	p.pair(at, p.pointer(to), uint32(len(text)))
}

func (p *packed) fields(at uint32, fields []Field) {
	records := p.take(uint32(len(fields))*16, 4)
	for index, field := range fields {
		p.text(records+uint32(index)*16, clean(field.Name))
		p.text(records+uint32(index)*16+8, field.Value)
	}
	p.pair(at, p.pointer(records), uint32(len(fields)))
}

// list is what the proxy is given: a pointer to the first record, and how many there are.
func (p *packed) list(count int) string {
	return unsafe.String((*byte)(p.base()), count)
}

// sizeOf is the room that these take at most. Cleaning makes a string three times as long at most.
func sizeOf(fields []Field) int {
	size := 16*len(fields) + 8
	for _, field := range fields {
		size += 3*len(field.Name) + len(field.Value)
	}
	return size
}

func packFields(fields []Field) string {
	p := pack(sizeOf(fields))
	records := p.take(uint32(len(fields))*16, 4)
	for index, field := range fields {
		p.text(records+uint32(index)*16, clean(field.Name))
		p.text(records+uint32(index)*16+8, field.Value)
	}
	return p.list(len(fields))
}

func packTexts(texts []string) string {
	size := 8 * len(texts)
	for _, text := range texts {
		size += 3 * len(text)
	}
	p := pack(size)
	records := p.take(uint32(len(texts))*8, 4)
	for index, text := range texts {
		p.text(records+uint32(index)*8, clean(text))
	}
	return p.list(len(texts))
}
