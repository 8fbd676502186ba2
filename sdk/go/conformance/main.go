// The conformance guest in Go, which sdk/CONFORMANCE.md describes: a request names the steps that each hook takes, the answer
// tells what each one gave.
package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	tamis "tamis-sdk"
)

const results tamis.Store = "results"

type config struct {
	Greeting    string       `json:"greeting"`
	KeepState   bool         `json:"keep-state"`
	TickEveryMs int64        `json:"tick-every-ms"`
	Want        []tamis.Hook `json:"want"`
	Routes      []struct {
		Path string `json:"path"`
	} `json:"routes"`
	Counter *string `json:"counter"`
	Throw   *string `json:"throw"`
}

// guest is one instance of the filter.
type guest struct {
	greeting   string
	inputs     map[string][]byte
	steps      tamis.Counter
	level      tamis.Gauge
	size       tamis.Histogram
	remembered *string
}

func init() { tamis.Configure(configure) }

func main() {}

func configure(config config, setup *tamis.Setup) (tamis.Filter, error) {
	if config.Throw != nil {
		panic(*config.Throw)
	}
	for at, route := range config.Routes {
		if !strings.HasPrefix(route.Path, "/") {
			path := fmt.Sprintf("routes[%d].path", at)
			return tamis.Filter{}, tamis.ConfigErrorf(path, `expected a path that begins with "/", found %q`, route.Path)
		}
	}
	for at, hook := range config.Want {
		if err := setup.Want(hook); err != nil {
			return tamis.Filter{}, tamis.ConfigErrorf(fmt.Sprintf("want[%d]", at), "%v", err)
		}
	}
	if config.KeepState {
		setup.KeepState()
	}
	setup.TickEvery(time.Duration(config.TickEveryMs) * time.Millisecond)
	g := &guest{greeting: config.Greeting, inputs: map[string][]byte{}}
	for _, name := range setup.Inputs() {
		g.inputs[name], _ = setup.Input(name)
	}
	if config.Counter != nil {
		if _, err := setup.Counter(*config.Counter, "Declared by the configuration"); err != nil {
			return tamis.Filter{}, tamis.ConfigErrorf("counter", "%v", err)
		}
	}
	var failures [3]error
	g.steps, failures[0] = setup.Counter("conformance_steps_total", "What steps counted", "kind")
	g.level, failures[1] = setup.Gauge("conformance_level", "What steps set")
	g.size, failures[2] = setup.Histogram("conformance_size", "What steps observed")
	for _, err := range failures {
		if err != nil {
			return tamis.Filter{}, err
		}
	}
	return g.filter(), nil
}

func (g *guest) filter() tamis.Filter {
	return tamis.Filter{
		OnRequest: func(request *tamis.Request) tamis.Verdict {
			return g.takeAll("do-request", &at{request: request}).verdict(request.Notes())
		},
		OnRequestChunk: func(request *tamis.Request, chunk tamis.Chunk) tamis.ChunkVerdict {
			return chunkVerdict(request, "do-request-chunk", chunk)
		},
		OnResponse: g.onResponse,
		OnResponseChunk: func(response *tamis.Response, chunk tamis.Chunk) tamis.ChunkVerdict {
			return chunkVerdict(response.Request(), "do-response-chunk", chunk)
		},
		OnRequestTrailers: func(request *tamis.Request) { g.takeAll("do-request-trailers", &at{request: request}) },
		OnResponseTrailers: func(response *tamis.Response) {
			g.takeAll("do-response-trailers", &at{request: response.Request(), response: response})
		},
		OnComplete: g.onComplete,
		OnTick: func() {
			if _, err := results.Increment("ticks", 1, 0); err != nil {
				panic(err)
			}
		},
	}
}

func (g *guest) onResponse(response *tamis.Response) tamis.Verdict {
	taken := g.takeAll("do-response", &at{request: response.Request(), response: response})
	verdict := taken.verdict(response.Notes())
	if verdict == tamis.Next {
		for _, line := range lines(response.Notes()) {
			if err := response.AddHeader("x-did", line); err != nil {
				panic(err)
			}
		}
	}
	return verdict
}

func (g *guest) onComplete(outcome *tamis.Outcome) {
	g.takeAll("do-complete", &at{request: outcome.Request(), outcome: outcome})
	if id, found := outcome.Request().Header("do-id"); found {
		if err := results.Set(id, []byte(strings.Join(lines(outcome.Notes()), "\n")), 0); err != nil {
			panic(err)
		}
	}
}

// takeAll takes the steps that the request names for this hook. The note `did` has a line for each step so far.
func (g *guest) takeAll(field string, at *at) *taken {
	taken := &taken{}
	for _, step := range at.request.Headers(field) {
		taken.take(g, step, at)
	}
	if len(taken.lines) > 0 {
		notes := at.request.Notes()
		notes.Set("did", strings.Join(append(lines(notes), taken.lines...), "\n"))
	}
	return taken
}

func lines(notes tamis.Notes) []string {
	did, found := notes.Get("did")
	if !found {
		return nil
	}
	return strings.Split(did, "\n")
}

func chunkVerdict(request *tamis.Request, field string, chunk tamis.Chunk) tamis.ChunkVerdict {
	step, found := request.Header(field)
	if !found {
		return tamis.Keep
	}
	words := wordsOf(step)
	switch words.text(0) {
	case "upper":
		return tamis.Replace(bytes.ToUpper(chunk.Bytes))
	case "drop":
		return tamis.Replace(nil)
	case "append":
		if chunk.End {
			return tamis.Replace(append(chunk.Bytes, words.text(1)...))
		}
		return tamis.Keep
	case "keep":
		return tamis.Keep
	case "reset":
		return tamis.Reset
	}
	panic("no step of a chunk hook: " + step)
}
