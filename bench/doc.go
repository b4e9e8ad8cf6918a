// Package bench is the measurement harness behind millrace bench. A [Bench] measures one thing;
// [Measure] runs it a number of times and returns a [Report], which prints itself in benchstat's
// form, as JSON, and as one HTML page that needs nothing else.
package bench
