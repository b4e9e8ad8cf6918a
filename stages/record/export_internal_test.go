package record

// RoomFor is what a merge asks before it begins.
var RoomFor = roomFor //nolint:gochecknoglobals // for tests
