package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profiled does work and writes its profiles into dir: cpu.pprof of all of it, heap.pprof of what it held when it was
// told to end.
func profiled(ctx context.Context, dir string, work func() error) (err error) {
	if err = os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	cpu, err := os.Create(filepath.Join(dir, "cpu.pprof"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cpu.Close()) }()
	heap, err := os.Create(filepath.Join(dir, "heap.pprof"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, heap.Close()) }()
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	held := make(chan error, 1)
	context.AfterFunc(ctx, func() { held <- pprof.Lookup("heap").WriteTo(heap, 0) })
	if err := work(); err != nil {
		return err
	}
	if ctx.Err() == nil {
		return nil
	}
	return <-held
}
