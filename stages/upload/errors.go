package upload

import (
	"errors"
	"fmt"
)

var (
	// ErrBlocked says that the store can be used by nobody until somebody acts: look again later.
	ErrBlocked = errors.New("the store cannot be used")
	// ErrRefused says that the store will never take this object.
	ErrRefused = errors.New("the store refuses the object")
	// ErrFull says that as much waits for the link as may: the object was not taken.
	ErrFull = errors.New("too much waits to be uploaded")
	// ErrExited says that the uploader has been told to exit.
	ErrExited = errors.New("the uploader has exited")
	// ErrLeft says that an object was left behind by an exit.
	ErrLeft = errors.New("left behind at exit")
)

// Kind is what is wrong with a store or an attempt.
type Kind uint8

// The kinds.
const (
	Failed      Kind = iota // for no reason that is known
	Credentials             // wrong: the key is not known, or the signature does not fit it
	Expired                 // the credentials were right once
	Forbidden               // they are right and do not allow this
	NoBucket                // there is no such bucket, or no such folder
	Untrusted               // the server's TLS certificate
	Clock                   // this machine's clock is off
	Throttled               // the store asks for patience
	Unreachable             // no connection
	TimedOut                // a connection that delivers nothing any more
	Broken                  // an error inside the store
	Damaged                 // what arrived is not what was sent
	DiskFull                // of a directory, or a quota
	ReadOnly                // the directory cannot be written to
	Conflict                // another object lies at the key
	Missing                 // no object lies at the key
	Invalid                 // the store finds the request wrong
)

// decision is what follows from an error.
type decision uint8

const (
	again decision = iota
	blocked
	refused
)

// meaning is what a kind says to a person, and what follows from it.
type meaning struct {
	name, what, remedy string
	decision
}

func (k Kind) meaning() meaning {
	all := [...]meaning{
		Failed:      {"failed", "the upload failed", "it is tried again", again},
		Credentials: {"credentials", "the credentials are wrong", "put the right ones into store.credentials; a file is read again by itself", blocked},
		Expired:     {"expired", "the credentials have expired", "renew them; a file or an instance role is read again by itself", blocked},
		Forbidden:   {"forbidden", "the credentials do not allow this", "give their user the right to read, list and write in the bucket", blocked},
		NoBucket:    {"no-bucket", "there is no such bucket", "create it, or correct store.bucket, store.region or store.endpoint", blocked},
		Untrusted:   {"untrusted", "the server's TLS certificate is not trusted", "name the authority that signed it in store.ca, or correct store.endpoint", blocked},
		Clock:       {"clock", "this machine's clock and the store's differ too much", "set this machine's clock, best by NTP", blocked},
		Throttled:   {"throttled", "the store asks to slow down", "it is tried again, fewer at once", again},
		Unreachable: {"unreachable", "the store cannot be reached", "check the network and store.endpoint; it is tried again", again},
		TimedOut:    {"timed-out", "the store did not answer in time", "it is tried again", again},
		Broken:      {"broken", "the store has an error inside", "it is tried again", again},
		Damaged:     {"damaged", "what arrived at the store is not what was sent", "it is tried again", again},
		DiskFull:    {"disk-full", "the store is full", "make room", blocked},
		ReadOnly:    {"read-only", "the store's folder cannot be written to", "give this program's user the right to write there", blocked},
		Conflict:    {"conflict", "another object lies at the key", "it is left as it is", refused},
		Missing:     {"missing", "no object lies at the key", "nothing was changed", refused},
		Invalid:     {"invalid", "the store finds the request wrong", "it is not tried again", refused},
	}
	if int(k) >= len(all) {
		return all[Failed]
	}
	return all[k]
}

func (k Kind) String() string { return k.meaning().name }

// Error is what went wrong at a store, in words that say what to do. No secret is in it.
type Error struct {
	Kind  Kind
	Where string // the store, without secrets
	Key   string // the object, where one is concerned
	Err   error  // the cause, without secrets
}

func (e *Error) Error() string {
	m := e.Kind.meaning()
	text := "store " + e.Where + ": "
	if e.Key != "" && m.decision != blocked {
		text += e.Key + ": "
	}
	text += m.what
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", e.Err)
	}
	return text + ": " + m.remedy
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is tell the decisions ErrBlocked and ErrRefused.
func (e *Error) Is(target error) bool {
	d := e.Kind.meaning().decision
	return target == ErrBlocked && d == blocked || target == ErrRefused && d == refused
}

// Permanent says that the same attempt, made again at once, would fail alike (U2). It is a
// method so that who must not import this package can ask for it.
func (e *Error) Permanent() bool { return e.Kind.meaning().decision != again }

// KindOf returns the kind of an error: Failed where it is none of a store.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Failed
}

// Refused says that the store will never take this object, whatever becomes of the store. It is a
// method as Permanent is.
func (e *Error) Refused() bool { return e.Kind.meaning().decision == refused }
