package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// monotonic is CLOCK_MONOTONIC, which all processes share.
func monotonic() int64 { return clockOf(unix.CLOCK_MONOTONIC) }

func clockOf(id int32) int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(id, &now); err != nil {
		return 0
	}
	return now.Nano()
}

// writeNow writes what a socket takes without waiting. The scheduler is not told of the call: it would look every 20 µs
// whether the thread is back, which takes more than a tenth of what cameras cost.
func writeNow(fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EAGAIN:
			return 0, nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// Usage is what processes have used.
type Usage struct {
	CPU   time.Duration // user and system, of children that have ended, too
	Wakes int64         // of threads that waited
}

// usageOf reads the accounts of processes and of all that they started.
func usageOf(roots []int) (u Usage, err error) {
	all, err := family(roots)
	if err != nil {
		return u, err
	}
	for _, pid := range all {
		// The process's own CPU clock: to the nanosecond, its threads that have ended included (clock_getcpuclockid(3)).
		u.CPU += time.Duration(clockOf(int32(^pid)<<3 | 2)) //nolint:gosec // a process number has 22 bits
		u.Wakes += wakes(pid)
		if s, ok := statOf(pid); ok {
			u.CPU += s.children
		}
	}
	return u, nil
}

// stat is what /proc/PID/stat says of a process.
type stat struct {
	parent   int
	children time.Duration // CPU of children that have ended and were waited for
}

func statOf(pid int) (s stat, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, false
	}
	_, rest, ok := bytes.Cut(text, []byte(") ")) // the name before may hold anything but this
	for more := ok; more; {
		var next []byte
		if _, next, more = bytes.Cut(rest, []byte(") ")); more {
			rest = next
		}
	}
	fields := strings.Fields(string(rest))
	if len(fields) < 15 {
		return s, false
	}
	number := func(i int) int64 {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		ok = ok && err == nil
		return n
	}
	const tick = time.Second / 100 // USER_HZ
	s.parent = int(number(1))
	s.children = time.Duration(number(13)+number(14)) * tick
	return s, ok
}

// family is the processes and all that descend from them.
func family(roots []int) ([]int, error) {
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	byParent := map[int][]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			continue
		}
		if s, ok := statOf(pid); ok {
			byParent[s.parent] = append(byParent[s.parent], pid)
		}
	}
	all := append([]int(nil), roots...)
	for i := 0; i < len(all); i++ {
		all = append(all, byParent[all[i]]...)
	}
	return all, nil
}

// wakes is how often threads of a process waited and were woken.
func wakes(pid int) (n int64) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return 0
	}
	for _, task := range tasks {
		n += kernelField(task, "voluntary_ctxt_switches")
	}
	return n
}

// kernelField is a number in one of the kernel's files of "name: value" lines; 0 where there is none.
func kernelField(file, name string) (sum int64) {
	text, err := os.ReadFile(file) //nolint:gosec // of the kernel's
	if err != nil {
		return 0 // it has ended
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if fields := strings.Fields(value); key == name && len(fields) > 0 {
			n, err := strconv.ParseInt(fields[0], 10, 64)
			if err != nil {
				return 0
			}
			sum += n
		}
	}
	return sum
}

// memoryOf is what processes and all that they started have in memory, in bytes. Pages that several of them share
// count once: for each process what is its own, and once the most that one of them shares.
func memoryOf(roots []int) (int64, error) {
	all, err := family(roots)
	if err != nil {
		return 0, err
	}
	var own, shared int64
	for _, pid := range all {
		rollup := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
		rss := kernelField(rollup, "Rss")
		private := kernelField(rollup, "Private_Clean") + kernelField(rollup, "Private_Dirty")
		own += private
		shared = max(shared, rss-private)
	}
	return (own + shared) << 10, nil
}

// enoughFiles says whether this process and those that it starts may open that many files.
func enoughFiles(want int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < uint64(want) { //nolint:gosec // a small number
		return fmt.Errorf("%d open files are needed and %d allowed: raise the limit (ulimit -Hn %d, or LimitNOFILE= of systemd)", want, limit.Max, want)
	}
	if limit.Cur < uint64(want) { //nolint:gosec // as above
		limit.Cur = uint64(want) //nolint:gosec // as above
		return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	}
	return nil
}

// favour puts a process before others, where this one may: it stands for machines of their own. In real time
// it waits for nobody: else it would be late because the machine has other work.
func favour(pid int, realTime bool) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(filepath.Base(task))
		if err != nil {
			continue
		}
		if realTime && unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0) == nil {
			continue
		}
		_ = unix.Setpriority(unix.PRIO_PROCESS, id, favoured) //nolint:errcheck // it needs a right that it may not have
	}
}

// favoured is the nice value of what stands for other machines. Threads that are started later inherit it.
const favoured = -10
