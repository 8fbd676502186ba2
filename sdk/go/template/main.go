// Closes parts of a site: whoever asks for them is told to come back later. Every answer says that the filter was there.
package main

import (
	"strconv"
	"strings"

	tamis "tamis-sdk"
)

// config is what the proxy's configuration says in `filters.{name}.config`.
type config struct {
	// Closed are paths, closed with everything below them. Each begins with "/".
	Closed []string `json:"closed"`
	// RetryAfter is what clients are told to wait, in seconds.
	RetryAfter int `json:"retry-after"`
}

func init() { tamis.Configure(configure) }

func main() {}

// configure is called before anything is served. What it refuses never goes live; the path tells the operator where to look.
func configure(config config, _ *tamis.Setup) (tamis.Filter, error) {
	for index, path := range config.Closed {
		if !strings.HasPrefix(path, "/") {
			at := "closed[" + strconv.Itoa(index) + "]"
			return tamis.Filter{}, tamis.ConfigErrorf(at, `expected a path that begins with "/", found %q`, path)
		}
	}
	if config.RetryAfter == 0 {
		config.RetryAfter = 60
	}
	return tamis.Filter{OnRequest: config.onRequest, OnResponse: onResponse}, nil
}

// onRequest has the head of a request: let it pass, change it, or answer it.
func (c config) onRequest(request *tamis.Request) tamis.Verdict {
	path := request.Path()
	closed, found := c.closedAt(path)
	if !found {
		return tamis.Next
	}
	tamis.Logf(tamis.Info, "%s asked for %s, which is closed", request.Connection().Source(), path)
	// Notes travel with the exchange: to later hooks, and into the access log.
	request.Notes().Set("closed", closed)
	return tamis.NewReply(503).Header("retry-after", strconv.Itoa(c.RetryAfter)).Text("closed for now\n")
}

// onResponse has the head of the answer.
func onResponse(response *tamis.Response) tamis.Verdict {
	if err := response.SetHeader("x-filter", "{name}"); err != nil {
		tamis.Logf(tamis.Warn, "no x-filter: %v", err)
	}
	return tamis.Next
}

// closedAt is the closed path that this one lies at or below.
func (c config) closedAt(path string) (closed string, found bool) {
	for _, closed := range c.Closed {
		rest, below := strings.CutPrefix(path, closed)
		if below && (rest == "" || rest[0] == '/' || strings.HasSuffix(closed, "/")) {
			return closed, true
		}
	}
	return "", false
}
