package event

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Source is the kind of a trigger: one of 32, each a bit of a trigger call (C6).
type Source uint8

// The sources that have a name. 4 to 15 are reserved, 16 to 31 the user's.
const (
	Motion Source = iota
	Person
	Sound // abnormal
	Linkage

	firstUser = 16
	sources   = 32
)

func sourceNames() [4]string { return [...]string{"motion", "person", "sound", "linkage"} }

func (s Source) String() string {
	names := sourceNames()
	switch {
	case int(s) < len(names):
		return names[s]
	case s < firstUser:
		return "reserved-" + strconv.Itoa(int(s))
	case s < sources:
		return "user-" + strconv.Itoa(int(s))
	}
	return fmt.Sprintf("source(%d)", uint8(s))
}

// MarshalText has a source written by its name.
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *Source) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSource(string(text))
	return err
}

// Bit is how a trigger call names the source.
func (s Source) Bit() uint32 { return 1 << s }

// ParseSource is the inverse of String; a number from 0 to 31 is taken too.
func ParseSource(text string) (Source, error) {
	for i, name := range sourceNames() {
		if text == name {
			return Source(i), nil //nolint:gosec // there are four
		}
	}
	digits, user := strings.CutPrefix(text, "user-")
	digits, reserved := strings.CutPrefix(digits, "reserved-")
	n, err := strconv.ParseUint(digits, 10, 8)
	if err != nil || digits[0] == '+' || n >= sources || user && (reserved || n < firstUser) || reserved && Source(n).String() != text {
		return 0, fmt.Errorf("%.40q is no source of triggers: motion, person, sound, linkage, user-16 to user-31, or a number from 0 to 31", text)
	}
	return Source(n), nil
}

// named returns the one source that a trigger call names.
func named(set uint32) (Source, error) {
	if n := bits.OnesCount32(set); n != 1 {
		return 0, fmt.Errorf("%w: %#x names %d of them", ErrSource, set, n)
	}
	return Source(bits.TrailingZeros32(set)), nil //nolint:gosec // at most 31
}
