package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	tamis "tamis-sdk"
)

// words are those of a step, with single spaces between them.
type words []string

func wordsOf(step string) words {
	split := words(strings.Split(step, " "))
	for index, word := range split {
		split[index] = decoded(word)
	}
	return split
}

func (w words) text(at int) string { return w[at] }

func (w words) number(at int) int64 {
	number, err := strconv.ParseInt(w[at], 10, 64)
	if err != nil {
		panic(w[at] + " is no number")
	}
	return number
}

// time is zero for `-`.
func (w words) time(at int) time.Duration {
	if w[at] == "-" {
		return 0
	}
	return time.Duration(w.number(at)) * time.Millisecond
}

// pairs are names and values from here on.
func (w words) pairs(at int) []tamis.Field {
	var fields []tamis.Field
	for ; at+1 < len(w); at += 2 {
		fields = append(fields, tamis.Field{Name: w[at], Value: w[at+1]})
	}
	return fields
}

// decoded resolves %XX; `%` alone is the empty word.
func decoded(word string) string {
	if word == "%" {
		return ""
	}
	var bytes []byte
	for at := 0; at < len(word); at++ {
		if word[at] == '%' && at+2 < len(word) {
			if value, err := strconv.ParseUint(word[at+1:at+3], 16, 8); err == nil {
				bytes = append(bytes, byte(value))
				at += 2
				continue
			}
		}
		bytes = append(bytes, word[at])
	}
	return string(bytes)
}

func encoded(text string) string {
	var all strings.Builder
	for _, one := range []byte(text) {
		if one > 0x20 && one < 0x7f && one != '%' {
			all.WriteByte(one)
		} else {
			fmt.Fprintf(&all, "%%%02X", one)
		}
	}
	return all.String()
}

// value is `=` and the bytes.
func value(text string) string { return "=" + encoded(text) }

func option(text string, found bool) string {
	if !found {
		return "none"
	}
	return value(text)
}

func list(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, " ")
}

func values(texts []string) string {
	words := make([]string, len(texts))
	for index, text := range texts {
		words[index] = value(text)
	}
	return list(words)
}

// fields are those whose names begin with `x-`.
func fields(all []tamis.Field) []string {
	var words []string
	for _, field := range all {
		if strings.HasPrefix(field.Name, "x-") {
			words = append(words, field.Name+value(field.Value))
		}
	}
	return words
}

// done is `ok`, or `!` and why not.
func done(err error) string {
	switch err := err.(type) {
	case nil:
		return "ok"
	case tamis.BodyError:
		return "!" + string(err)
	case tamis.StoreError:
		return "!" + string(err)
	case tamis.CallError:
		return "!" + string(err)
	default:
		return "!" + encoded(err.Error())
	}
}

// result is what there is, unless there is an error.
func result(text string, err error) string {
	if err != nil {
		return done(err)
	}
	return text
}
