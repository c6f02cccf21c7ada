// Command plugin-registrar stands in for node-driver-registrar, whose releases are no Go modules: it takes its flags and
// serves the kubelet's plugin registration API for one CSI driver. The kubelet finds the socket in its plugins_registry
// folder (mounted at /registration), asks GetInfo, and from then on talks to the CSI socket that the answer names.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// A driver that starts beside us may take a while; between two questions.
const retryAfter = time.Second

type registrar struct {
	registration.UnimplementedRegistrationServer
	driver, kubeletPath string
}

// GetInfo is what the kubelet asks first. The versions are those of CSI.
func (r *registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	log.Printf("the kubelet asks for %s", r.driver)
	return &registration.PluginInfo{
		Type:              registration.CSIPlugin,
		Name:              r.driver,
		Endpoint:          r.kubeletPath,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

// NotifyRegistrationStatus says how it went. After a refusal only a new registration helps: the container starts again.
func (r *registrar) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if !status.PluginRegistered {
		log.Fatalf("the kubelet refuses %s: %s", r.driver, status.Error)
	}
	log.Printf("%s is registered", r.driver)
	return &registration.RegistrationStatusResponse{}, nil
}

func main() {
	csiAddress := flag.String("csi-address", "/run/csi/socket", "CSI socket as this program sees it")
	kubeletPath := flag.String("kubelet-registration-path", "", "CSI socket as the kubelet sees it")
	folder := flag.String("plugin-registration-path", "/registration", "folder for the registration socket")
	httpEndpoint := flag.String("http-endpoint", "", "address for /healthz")
	// Taken so that the arguments of a chart serve both.
	flag.String("v", "", "ignored")
	flag.String("logtostderr", "", "ignored")
	flag.Parse()
	if *kubeletPath == "" {
		log.Fatal("--kubelet-registration-path is needed")
	}
	r := &registrar{driver: driverName(*csiAddress), kubeletPath: *kubeletPath}
	socket := filepath.Join(*folder, r.driver+"-reg.sock")
	serveHealth(*httpEndpoint, socket)
	serve(r, socket)
}

// driverName asks the driver until it answers.
func driverName(address string) string {
	connection, err := grpc.NewClient("unix:"+strings.TrimPrefix(address, "unix://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	for {
		limited, cancel := context.WithTimeout(context.Background(), 10*retryAfter)
		info, err := csi.NewIdentityClient(connection).GetPluginInfo(limited, &csi.GetPluginInfoRequest{})
		cancel()
		if err == nil {
			return info.GetName()
		}
		log.Printf("the driver at %s does not answer yet: %v", address, err)
		time.Sleep(retryAfter)
	}
}

func serve(r *registrar, socket string) {
	// One of a container that ended without taking it away.
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		log.Fatal(err)
	}
	// Root of the node only, as the kubelet is.
	previous := syscall.Umask(0o077)
	listener, err := net.Listen("unix", socket)
	syscall.Umask(previous)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	registration.RegisterRegistrationServer(server, r)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		server.Stop() // closes the listener, which removes the socket
	}()
	log.Printf("serving %s", socket)
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}

// serveHealth answers 200 while the socket is there.
func serveHealth(address, socket string) {
	if address == "" {
		return
	}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := os.Stat(socket); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	go func() { log.Fatal(http.ListenAndServe(address, nil)) }()
}
