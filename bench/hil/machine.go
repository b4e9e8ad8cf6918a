package hil

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine is a virtual machine that setup.sh made.
type Machine struct {
	Arch  string // "amd64" or "arm64"
	Dir   string // holds kernel and initramfs.cpio
	Share string // seen as /host inside; holds the program and args before, log and exit after

	Program string // in Share; "" is the suite, hil.test
	Disk    *Disk  // seen as /disk, an ext4; nil: there is none
	Mount   string // options of its mounting
}

// errDied is a machine that ended without an exit code.
var errDied = errors.New("the machine died before the suite had ended: what it said last is above")

// Run boots the machine and waits for its end. Its console goes to out. The exit code is the
// program's. When ctx ends the machine ends like one whose power is cut.
func (m Machine) Run(ctx context.Context, out io.Writer) (code int, err error) {
	if err = os.RemoveAll(filepath.Join(m.Share, "exit")); err != nil {
		return 0, err
	}
	args := m.args()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // what this rig itself puts together
	// Through a pipe: QEMU stands still while what its console goes to is a file of a disk that is busy.
	console := struct{ io.Writer }{out}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.WaitDelay = 5 * time.Second
	if err = cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return 0, fmt.Errorf("the machine did not end in time: %w", ctx.Err())
		}
		return 0, fmt.Errorf("%s: %w", args[0], err)
	}
	text, err := os.ReadFile(filepath.Join(m.Share, "exit"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, errDied
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// args is the command line. The kernel's arguments leave out what takes an emulated boot its
// time: calibration, self-tests, serial ports that are not there.
func (m Machine) args() []string {
	kernel := "panic=-1 quiet nokaslr cryptomgr.notests lsm= audit=0 random.trust_cpu=on"
	machine := []string{"qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "Nehalem"}
	console := " console=ttyS0 8250.nr_uarts=1 mitigations=off tsc=reliable lpj=1000000 no_timer_check" // a busy host misses the ticks that the check counts
	switch {
	case m.Arch == "arm64":
		machine = []string{"qemu-system-aarch64", "-M", "virt", "-accel", "tcg,thread=multi", "-cpu", "cortex-a57"}
		console = " console=ttyAMA0"
	case hasKVM():
		machine = []string{"qemu-system-x86_64", "-M", "q35", "-accel", "kvm", "-cpu", "host"}
	}
	if m.Program != "" { // init finds it in its environment
		kernel += " hil_program=" + m.Program
	}
	var disk []string
	if m.Disk != nil {
		kernel += " hil_disk=" + cmp.Or(m.Mount, "defaults")
		disk = []string{
			"-blockdev", "driver=nbd,node-name=disk,server.type=unix,server.path=" + m.Disk.Socket(),
			"-device", "virtio-blk-pci,drive=disk,write-cache=on",
		}
	}
	return slices.Concat(machine, disk, []string{
		"-smp", "2", "-m", "1024",
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-kernel", filepath.Join(m.Dir, "kernel"), "-initrd", filepath.Join(m.Dir, "initramfs.cpio"), "-append", kernel + console,
		"-fsdev", "local,id=host,security_model=none,path=" + m.Share, "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
		"-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=",
	})
}

// hasKVM says whether KVM works: its device may open and still be of no use where the processor
// shows no virtualisation.
func hasKVM() bool {
	if unix.Access("/dev/kvm", unix.R_OK|unix.W_OK) != nil {
		return false
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return false
	}
	for flag := range strings.FieldsSeq(string(info)) {
		if flag == "vmx" || flag == "svm" {
			return true
		}
	}
	return false
}
