// Package remote is what drivers of cameras behind a network share: the parameters of a URL that
// are meant for the driver, whom TLS trusts, and errors that are fit to be shown.
package remote
