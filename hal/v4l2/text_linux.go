package v4l2

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
)

// name16 and name32 are C strings of a fixed size. In a trace each byte is the character of
// its number, so that nothing is lost where a driver puts something else there.
type (
	name16 [16]byte
	name32 [32]byte
)

func (n *name16) String() string { return cString(n[:]) }
func (n *name32) String() string { return cString(n[:]) }

// MarshalText implements encoding.TextMarshaler.
func (n *name16) MarshalText() ([]byte, error) { return toLatin(n[:]), nil }

// MarshalText implements encoding.TextMarshaler.
func (n *name32) MarshalText() ([]byte, error) { return toLatin(n[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *name16) UnmarshalText(b []byte) error { return fromLatin(n[:], b) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *name32) UnmarshalText(b []byte) error { return fromLatin(n[:], b) }

// cString returns the bytes before the first zero, what is not UTF-8 replaced.
func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(bytes.ToValidUTF8(b, []byte("?")))
}

func toLatin(b []byte) []byte {
	var out []byte
	for _, x := range bytes.TrimRight(b, "\x00") {
		out = append(out, string(rune(x))...)
	}
	return out
}

func fromLatin(to, from []byte) error {
	clear(to)
	i := 0
	for _, r := range string(from) {
		if r > 255 || i == len(to) {
			return fmt.Errorf("text %q: at most %d characters below 256", from, len(to))
		}
		to[i] = byte(r)
		i++
	}
	return nil
}

// hex64 is a union of 64 bytes, in a trace as hexadecimal digits without the zeros at the end.
type hex64 [64]byte

// MarshalText implements encoding.TextMarshaler.
func (h *hex64) MarshalText() ([]byte, error) {
	return []byte(hex.EncodeToString(bytes.TrimRight(h[:], "\x00"))), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *hex64) UnmarshalText(b []byte) error {
	*h = hex64{}
	raw, err := hex.DecodeString(string(b))
	if err != nil || len(raw) > len(h) {
		return fmt.Errorf("union %q: at most 128 hexadecimal digits", b)
	}
	copy(h[:], raw)
	return nil
}

// formatView is how a trace shows a format.
type formatView struct {
	Type   bufType
	Single *pixFormat   `json:",omitempty"`
	Multi  *pixFormatMP `json:",omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (f *format) MarshalJSON() ([]byte, error) {
	v := formatView{Type: f.Type}
	if f.Type.multiplanar() {
		v.Multi = f.multi()
	} else {
		v.Single = f.single()
	}
	b, err := json.Marshal(v)
	runtime.KeepAlive(f)
	return b, err
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *format) UnmarshalJSON(b []byte) error {
	var v formatView
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("a format: %w", err)
	}
	*f = format{Type: v.Type}
	if v.Single != nil {
		*f.single() = *v.Single
	}
	if v.Multi != nil {
		*f.multi() = *v.Multi
	}
	return nil
}

// bufferView is how a trace shows a buffer: without addresses.
type bufferView struct {
	Buffer buffer
	Planes []plane `json:",omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (c *bufferCall) MarshalJSON() ([]byte, error) {
	v := bufferView{Buffer: c.buffer}
	if c.buffer.Type.multiplanar() {
		v.Planes = c.planes[:min(int(c.buffer.Length), maxPlanes)]
		v.Buffer.M = 0
	}
	return json.Marshal(v)
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *bufferCall) UnmarshalJSON(b []byte) error {
	var v bufferView
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("a buffer: %w", err)
	}
	if len(v.Planes) > maxPlanes {
		return fmt.Errorf("a buffer of %d planes: at most %d", len(v.Planes), maxPlanes)
	}
	*c = bufferCall{buffer: v.Buffer}
	copy(c.planes[:], v.Planes)
	return nil
}
