//go:build !wasip1

package tamistest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	tamis "tamis-sdk"
)

var framing = []string{
	"connection", "content-length", "transfer-encoding", "keep-alive", "proxy-connection", "te", "trailer", "upgrade",
}

// message is one as the host keeps it.
type message struct {
	fields []tamis.Field
	body   []byte
}

func newMessage(header http.Header, body string) *message {
	return &message{fields: fieldsOf(header), body: []byte(body)}
}

// fieldsOf are those of a header, in the order of their names.
func fieldsOf(header http.Header) []tamis.Field {
	var fields []tamis.Field
	for name, values := range header {
		for _, value := range values {
			fields = append(fields, tamis.Field{Name: strings.ToLower(name), Value: value})
		}
	}
	slices.SortStableFunc(fields, func(a, b tamis.Field) int { return strings.Compare(a.Name, b.Name) })
	return fields
}

func headerOf(fields []tamis.Field) http.Header {
	header := http.Header{}
	for _, field := range fields {
		header.Add(field.Name, field.Value)
	}
	return header
}

func (m *message) header() http.Header { return headerOf(m.fields) }

func (m *message) values(name string) []string {
	var values []string
	for _, field := range m.fields {
		if field.Name == strings.ToLower(name) {
			values = append(values, field.Value)
		}
	}
	return values
}

func (m *message) joined(name string) (string, bool) {
	values, between := m.values(name), ", "
	if strings.EqualFold(name, "cookie") {
		between = "; "
	}
	return strings.Join(values, between), len(values) > 0
}

func (m *message) remove(name string) {
	lower := strings.ToLower(name)
	if !slices.Contains(framing, lower) {
		m.fields = slices.DeleteFunc(m.fields, func(field tamis.Field) bool { return field.Name == lower })
	}
}

func (m *message) set(name, value string) error {
	if err := checked(name, value); err != nil {
		return err
	}
	m.remove(name)
	return m.add(name, value)
}

func (m *message) add(name, value string) error {
	if err := checked(name, value); err != nil {
		return err
	}
	m.fields = append(m.fields, tamis.Field{Name: strings.ToLower(name), Value: value})
	return nil
}

// packed is all fields in one: their count, then lengths and bytes.
func (m *message) packed() string {
	all := binary.LittleEndian.AppendUint32(nil, uint32(len(m.fields)))
	for _, field := range m.fields {
		for _, part := range []string{field.Name, field.Value} {
			all = append(binary.LittleEndian.AppendUint32(all, uint32(len(part))), part...)
		}
	}
	return string(all)
}

// checked holds a field against the rules of HTTP, and of the proxy.
func checked(name, value string) error {
	lower := strings.ToLower(name)
	switch {
	case !isToken(name):
		return fmt.Errorf("expected the name of a field, found %q", name)
	case slices.Contains(framing, lower):
		return fmt.Errorf("`%s` belongs to the framing, which is the proxy's", lower)
	case lower == "host":
		return errors.New("`host` is set by the authority")
	case strings.ContainsAny(value, "\x00\r\n"):
		return fmt.Errorf("the value of `%s` has a character that HTTP does not allow", lower)
	}
	return nil
}

func isToken(text string) bool {
	plain := func(r rune) bool {
		return r > 0x20 && r < 0x7f && !strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r)
	}
	return text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0
}

func checkedStatus(status uint32) error {
	if status < 200 || status > 599 {
		return fmt.Errorf("expected a status from 200 to 599, found %d", status)
	}
	return nil
}
