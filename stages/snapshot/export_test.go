package snapshot

// What tests alone see.
var Authorise = authorise //nolint:gochecknoglobals // for tests
