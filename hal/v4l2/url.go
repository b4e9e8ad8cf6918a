package v4l2

// setting is a control and its value as a URL names them.
type setting struct {
	name, value string
}
