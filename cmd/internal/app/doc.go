// Package app is the composition root of the appliance: it puts drivers, stages and channels
// together as a configuration says, and starts and ends them in order.
package app
