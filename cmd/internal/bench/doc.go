// Package bench measures what this machine does, for millrace bench.
package bench
