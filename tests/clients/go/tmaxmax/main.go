// Go's tmaxmax/go-sse, as its README shows it.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/tmaxmax/go-sse"
)

func main() {
	request, _ := http.NewRequest(http.MethodGet, os.Args[1], http.NoBody)
	connection := sse.NewConnection(request)
	// Without it an event of more than 64 KiB ends the connection, again and again.
	connection.Buffer(nil, 8<<20)
	connection.SubscribeToAll(func(event sse.Event) {
		name := event.Type
		if name == "" {
			name = "message"
		}
		line, _ := json.Marshal(map[string]string{"event": name, "id": event.LastEventID, "data": event.Data})
		fmt.Println(string(line))
	})
	fmt.Fprintln(os.Stderr, connection.Connect())
}
