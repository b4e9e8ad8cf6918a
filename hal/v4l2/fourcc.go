package v4l2

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// fourCC is a pixel format as the kernel names it: four letters, the first in the low byte.
type fourCC uint32

// fourCCOf returns the code of a name of four letters.
func fourCCOf(name string) fourCC {
	var c fourCC
	for i := range min(4, len(name)) {
		c |= fourCC(name[i]) << (8 * i)
	}
	return c
}

// String returns the four letters; a code that is none is shown as a number.
func (c fourCC) String() string {
	b := [4]byte{byte(c), byte(c >> 8), byte(c >> 16), byte(c >> 24)}
	for _, x := range b {
		if x < ' ' || x > '~' {
			return fmt.Sprintf("%#08x", uint32(c))
		}
	}
	return string(b[:])
}

// MarshalJSON implements json.Marshaler: a trace shows the letters.
func (c fourCC) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (c *fourCC) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a pixel format: %w", err)
	}
	if len(s) == 4 {
		*c = fourCCOf(s)
		return nil
	}
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		return fmt.Errorf("pixel format %q: four letters or a number", s)
	}
	*c = fourCC(n)
	return nil
}
