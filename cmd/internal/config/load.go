package config

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

// Env is what a configuration leans on. The zero value is the real world, and takes any URL.
type Env struct {
	Lookup   func(name string) (string, bool)  // a variable of the environment
	ReadFile func(path string) ([]byte, error) // a secret's file
	Check    func(url, transport string) error // what is wrong with a source, without opening it
}

func (e Env) withDefaults() Env {
	if e.Lookup == nil {
		e.Lookup = os.LookupEnv
	}
	if e.ReadFile == nil {
		e.ReadFile = readSecret
	}
	if e.Check == nil {
		e.Check = func(string, string) error { return nil }
	}
	return e
}

// Load reads a file. An error about what is in it is of type FileError.
func Load(path string, env Env) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w: name an existing file with --config", path, cause(err))
	}
	defer func() { _ = f.Close() }() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, cause(err))
	}
	return Parse(path, text, env)
}

// Parse reads a configuration; file is its name in the errors, which are of type FileError.
func Parse(file string, text []byte, env Env) (Config, error) {
	d := &decoder{file: file, env: env.withDefaults()}
	cfg := Default()
	if root := d.parse(text); root != nil {
		d.root(root, &cfg)
	}
	if len(d.problems) > 0 {
		d.problems.sort()
		return Config{}, d.problems
	}
	cfg.secrets = d.secrets
	return cfg, nil
}

// CheckListen says what is wrong with an address to listen at. Where local is set it must be
// one of this machine's loopback.
func CheckListen(address string, local bool) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("HOST:PORT, such as 127.0.0.1:8080")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:8080")
	}
	ip := net.ParseIP(host)
	switch {
	case host == "localhost":
	case local && (ip == nil || !ip.IsLoopback()):
		return errors.New("an address of this machine alone, such as 127.0.0.1:8080: the API knows no users yet")
	case host != "" && ip == nil:
		return errors.New("an IP address and a port, such as 127.0.0.1:8554, or 0.0.0.0:8554 for all addresses")
	}
	return nil
}
