package v4l2

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/millrace-video/millrace/hal"
)

// maxControls bounds what is read of a device: drivers have a hundred at most.
const maxControls = 512

// getControl returns a control's value.
func getControl(n node, id uint32) (int32, error) {
	c := control{ID: id}
	if err := n.ioctl(vidiocGetControl, unsafe.Pointer(&c)); err != nil {
		return 0, callError(vidiocGetControl, err)
	}
	return c.Value, nil
}

// setControl sets a control. An encoder's take effect with the next picture queued.
func setControl(n node, id uint32, value int32) error {
	c := control{ID: id, Value: value}
	if err := n.ioctl(vidiocSetControl, unsafe.Pointer(&c)); err != nil {
		return callError(vidiocSetControl, err)
	}
	return nil
}

// queryOne returns what a control can be; an error where the device has none of this number.
func queryOne(n node, id uint32) (queryControl, error) {
	q := queryControl{ID: id}
	if err := n.ioctl(vidiocQueryControl, unsafe.Pointer(&q)); err != nil {
		return q, callError(vidiocQueryControl, err)
	}
	return q, nil
}

// queryControls lists the controls that a person can set.
func queryControls(n node) []queryControl {
	var all []queryControl
	id := uint32(0)
	for range maxControls {
		q, err := queryOne(n, id|controlNext)
		if err != nil || q.ID <= id {
			break
		}
		id = q.ID
		if q.Flags&(controlDisabled|controlReadOnly) == 0 && controlKind(q.Type) != "" {
			all = append(all, q)
		}
	}
	return all
}

// controlKind names a type that a URL can set.
func controlKind(typ uint32) string {
	switch typ {
	case controlInteger, controlInteger64:
		return "int"
	case controlBoolean:
		return "bool"
	case controlMenu, controlIntegerMenu:
		return "menu"
	case controlButton:
		return "button"
	case controlBitmask:
		return "bits"
	default:
		return ""
	}
}

// controlName makes a name that stands in a URL of what a driver calls a control: lower case,
// one underscore for whatever is no letter and no digit.
func controlName(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	return strings.TrimSuffix(b.String(), "_")
}

// menuItems lists a menu's items, "" where an index has none.
func menuItems(n node, q *queryControl) []string {
	var items []string
	for i := q.Min; i <= q.Max && i < q.Min+maxControls; i++ {
		m := queryMenu{ID: q.ID, Index: uint32(i)}
		if n.ioctl(vidiocQueryMenu, unsafe.Pointer(&m)) != nil {
			items = append(items, "")
			continue
		}
		if q.Type == controlIntegerMenu {
			items = append(items, strconv.FormatInt(int64(binary.LittleEndian.Uint64(m.Name[:8])), 10))
			continue
		}
		items = append(items, m.Name.String())
	}
	return items
}

// applyControls sets the controls of a URL, in the order given.
func applyControls(n node, want []Setting) error {
	if len(want) == 0 {
		return nil
	}
	all := queryControls(n)
	for _, w := range want {
		i := slices.IndexFunc(all, func(q queryControl) bool { return controlName(q.Name.String()) == w.Name })
		if i < 0 {
			names := make([]string, 0, len(all))
			for _, q := range all {
				names = append(names, controlName(q.Name.String()))
			}
			return fmt.Errorf("%w: no control %q: one of %s", hal.ErrUnsupported, w.Name, strings.Join(names, ", "))
		}
		value, err := controlValue(n, &all[i], w.Value)
		if err != nil {
			return fmt.Errorf("%w: ctrl.%s=%s: %w", hal.ErrUnsupported, w.Name, w.Value, err)
		}
		if err := setControl(n, all[i].ID, value); err != nil {
			return fmt.Errorf("ctrl.%s=%s: %w", w.Name, w.Value, err)
		}
	}
	return nil
}

// controlValue reads a value: a number, true or false, a menu's item by its name.
func controlValue(n node, q *queryControl, text string) (int32, error) {
	var items []string
	if q.Type == controlMenu || q.Type == controlIntegerMenu {
		items = menuItems(n, q)
		if i := slices.IndexFunc(items, func(s string) bool { return s != "" && strings.EqualFold(s, text) }); i >= 0 {
			return int32(q.Min) + int32(i), nil
		}
	}
	switch text {
	case "true", "on":
		text = "1"
	case "false", "off":
		text = "0"
	}
	v, err := strconv.ParseInt(text, 0, 32)
	if err != nil || v < q.Min || v > q.Max {
		if items != nil {
			return 0, fmt.Errorf("%d to %d or one of %s", q.Min, q.Max, strings.Join(items, ", "))
		}
		return 0, fmt.Errorf("a number from %d to %d", q.Min, q.Max)
	}
	return int32(v), nil
}
