// Command netfwd lets the machine reach one address of the testbed's network namespace: it listens on a free port of
// loopback, writes that port to a file, and passes each connection on. A socket stays in the network where it was made, so
// it listens first and then starts itself again inside the namespaces (by nsenter), with the listening socket inherited.
// Inside the PID namespace, too, so that it ends with the testbed.
package main

import (
	"flag"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

func main() {
	target := flag.Int("target", 0, "process whose network and PID namespaces are entered")
	to := flag.String("to", "", "address to connect to in there")
	portFile := flag.String("port-file", "", "where to write the port of loopback")
	descriptor := flag.Int("listener", -1, "inherited listening socket (netfwd gives it to itself)")
	flag.Parse()
	if *descriptor < 0 {
		log.Fatal(enter(*target, *to, *portFile))
	}
	listener, err := net.FileListener(os.NewFile(uintptr(*descriptor), "listener"))
	if err != nil {
		log.Fatal(err)
	}
	for {
		from, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go forward(from, *to)
	}
}

// enter answers only if it fails.
func enter(target int, to, portFile string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	// A duplicate without close-on-exec survives both starts.
	descriptor, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return err
	}
	// Under another name first: whoever reads it reads all of it.
	if err := os.WriteFile(portFile+".new", []byte(port), 0o644); err != nil {
		return err
	}
	if err := os.Rename(portFile+".new", portFile); err != nil {
		return err
	}
	again := []string{self, "-to", to, "-listener", strconv.Itoa(descriptor)}
	args := append([]string{nsenter, "--target", strconv.Itoa(target), "--net", "--pid", "--"}, again...)
	return syscall.Exec(nsenter, args, os.Environ())
}

// forward passes bytes both ways; the end of one direction is told to the other side, which may still answer.
func forward(from net.Conn, address string) {
	defer from.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		log.Print(err)
		return
	}
	defer to.Close()
	done := make(chan struct{})
	go func() {
		copyAndEnd(to, from)
		close(done)
	}()
	copyAndEnd(from, to)
	<-done
}

func copyAndEnd(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		// The other direction must not wait for a side that is gone.
		_ = from.Close()
	}
	_ = to.(*net.TCPConn).CloseWrite()
}
