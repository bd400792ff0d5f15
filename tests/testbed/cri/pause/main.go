// Command pause does nothing until it is told to end. It is what every pod's sandbox runs on the node of the tests;
// with an argument it ends at once, and is then the container of every image that can be pulled.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) > 1 {
		return
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	<-end
}
