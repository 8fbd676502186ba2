package tamis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// configure reads the configuration as the filter's own function wants it, and calls that.
var configure = func([]byte, *Setup) (Filter, error) {
	return Filter{}, errors.New("the filter never called tamis.Configure")
}

// Configure says how the filter is configured; call it in init. The proxy calls the function before anything else, with what
// `config` holds in its configuration, read as encoding/json reads it; a key that the type does not have is refused. What the
// function refuses never goes live. Use [ConfigErrorf] to say where a mistake is.
func Configure[C any](function func(config C, setup *Setup) (Filter, error)) {
	configure = func(text []byte, setup *Setup) (Filter, error) {
		var config C
		if err := readConfig(text, &config); err != nil {
			return Filter{}, err
		}
		made, err := function(config, setup)
		if err != nil {
			return Filter{}, err
		}
		return made, setup.wantThoseOf(&made)
	}
}

func readConfig(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		if _, more := decoder.Token(); more != io.EOF {
			return errors.New("expected one JSON value, found more")
		}
		return nil
	}
	var mistake *json.UnmarshalTypeError
	if errors.As(err, &mistake) {
		return ConfigErrorf(mistake.Field, "expected %s, found %s", mistake.Type, mistake.Value)
	}
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return ConfigErrorf(strings.Trim(name, `"`), "unknown key %s", name)
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

// ConfigErrorf says what is wrong with the configuration, and at which path: "routes[3].path". The proxy turns the path into a
// position in its file. An empty path is the configuration as a whole.
func ConfigErrorf(path, format string, values ...any) error {
	message := fmt.Sprintf(format, values...)
	if path == "" {
		return errors.New(message)
	}
	return fmt.Errorf("%s: %s", path, message)
}
