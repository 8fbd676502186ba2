package tamis

import (
	"errors"
	"math"
	"time"

	"tamis-sdk/internal/abi"
)

// Setup is what a filter hears beside its configuration, and may say about itself, while it is being configured.
type Setup struct {
	inputs []Field
	wants  bool
}

// Hook names a hook.
type Hook string

// The hooks that a filter can have.
const (
	HookRequest       Hook = "request"
	HookRequestChunk  Hook = "request-chunk"
	HookResponse      Hook = "response"
	HookResponseChunk Hook = "response-chunk"
	HookTrailers      Hook = "trailers"
	HookComplete      Hook = "complete"
	HookTick          Hook = "tick"
)

// Input is the content of the input of that name: a file or resource that the filter's `inputs` names, which the proxy fetches
// and watches. When it changes, a fresh instance is configured with the new content.
func (s *Setup) Input(name string) (content []byte, found bool) {
	for _, input := range s.inputs {
		if input.Name == name {
			return []byte(input.Value), true
		}
	}
	return nil, false
}

// Inputs are the names of all inputs.
func (s *Setup) Inputs() []string {
	names := make([]string, len(s.inputs))
	for index, input := range s.inputs {
		names[index] = input.Name
	}
	return names
}

// Want names a hook that is to be called, where the configuration leaves others without work. Without any call, all those are
// called that the [Filter] has. A word that the proxy does not know is refused.
func (s *Setup) Want(hook Hook) error {
	s.wants = true
	results := enter()
	defer leave()
	abi.SetupWant(clean(string(hook)), results.at())
	return results.refused()
}

// KeepState makes the proxy hold the instance until the exchange ends: what one hook leaves in variables is there in the next.
// The next exchange may get the same instance.
func (s *Setup) KeepState() { abi.SetupKeepState() }

// TickEvery is the time between two calls of OnTick; 0 is never.
func (s *Setup) TickEvery(period time.Duration) { abi.SetupTickEveryMs(milliseconds(period)) }

// Counter declares a number that only rises. A name that is no valid one, or is taken by another kind, is refused.
func (s *Setup) Counter(name, help string, labels ...string) (Counter, error) {
	id, err := declare(name, help, 0, labels)
	return Counter(id), err
}

// Gauge declares a number that rises and falls.
func (s *Setup) Gauge(name, help string, labels ...string) (Gauge, error) {
	id, err := declare(name, help, 1, labels)
	return Gauge(id), err
}

// Histogram declares how often values of which size came.
func (s *Setup) Histogram(name, help string, labels ...string) (Histogram, error) {
	id, err := declare(name, help, 2, labels)
	return Histogram(id), err
}

// wantThoseOf tells the proxy which hooks there are: the module exports them all.
func (s *Setup) wantThoseOf(filter *Filter) error {
	there := map[Hook]bool{
		HookRequest:       filter.OnRequest != nil,
		HookRequestChunk:  filter.OnRequestChunk != nil,
		HookResponse:      filter.OnResponse != nil,
		HookResponseChunk: filter.OnResponseChunk != nil,
		HookTrailers:      filter.OnRequestTrailers != nil || filter.OnResponseTrailers != nil,
		HookComplete:      filter.OnComplete != nil,
		HookTick:          filter.OnTick != nil,
	}
	if s.wants {
		return nil
	}
	for _, hook := range []Hook{HookRequest, HookRequestChunk, HookResponse, HookResponseChunk, HookTrailers, HookComplete, HookTick} {
		if !there[hook] {
			continue
		}
		if err := s.Want(hook); err != nil {
			return err
		}
	}
	if !s.wants {
		return errors.New("the filter has no hook: tamis.Filter is empty")
	}
	return nil
}

// milliseconds rounds up, so that something stays something.
func milliseconds(period time.Duration) uint64 {
	if period <= 0 {
		return 0
	}
	return uint64((period + time.Millisecond - 1) / time.Millisecond)
}

func shortMilliseconds(period time.Duration) uint32 {
	return uint32(min(milliseconds(period), 1<<32-1))
}

// lasting is that many milliseconds, at most the longest duration there is: the proxy says never with the largest number.
func lasting(milliseconds uint64) time.Duration {
	if milliseconds > uint64(math.MaxInt64/time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(milliseconds) * time.Millisecond
}
