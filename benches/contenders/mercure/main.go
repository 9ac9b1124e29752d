// Mercure for the benches: its library in net/http, as its documentation shows it, without the Caddy of its releases,
// which makes it cheaper. Prints the address that it listens on.
//
//	mercure bolt|local KEY DIRECTORY
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/dunglas/mercure"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: mercure bolt|local KEY DIRECTORY")
	}
	key := []byte(os.Args[2])
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	subscribers := mercure.NewSubscriberList(mercure.DefaultSubscriberListCacheSize)
	// Keeps nothing.
	var transport mercure.Transport = mercure.NewLocalTransport(subscribers)
	if os.Args[1] == "bolt" {
		var err error
		// Of any size: its default.
		transport, err = mercure.NewBoltTransport(subscribers, quiet, filepath.Join(os.Args[3], "updates.db"), "", 0, 0)
		if err != nil {
			log.Fatal(err)
		}
	}
	hub, err := mercure.NewHub(context.Background(),
		mercure.WithLogger(quiet),
		mercure.WithTransport(transport),
		mercure.WithPublisherJWT(key, "HS256"),
		mercure.WithSubscriberJWT(key, "HS256"),
		// The default closes a stream after 8 to 10 minutes, to spread its clients.
		mercure.WithWriteTimeout(0),
	)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("mercure listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, hub))
}
