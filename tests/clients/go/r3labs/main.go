// Go's r3labs/sse. It reconnects after an error and not after a clean end.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/r3labs/sse/v2"
)

func main() {
	// Without it an event of more than 64 KiB ends the connection, again and again.
	client := sse.NewClient(os.Args[1], sse.ClientMaxBufferSize(8<<20))
	client.ResponseValidator = func(_ *sse.Client, answer *http.Response) error {
		if answer.StatusCode == http.StatusNoContent {
			os.Exit(0)
		}
		if answer.StatusCode != http.StatusOK {
			answer.Body.Close()
			return fmt.Errorf("the hub answered %s", answer.Status)
		}
		return nil
	}
	for {
		client.SubscribeRaw(func(event *sse.Event) {
			// What is left when a connection breaks is handed over, too: after a silence, an empty event with the last id.
			if len(event.Data) == 0 {
				return
			}
			name := string(event.Event)
			if name == "" {
				name = "message"
			}
			line, _ := json.Marshal(map[string]string{"event": name, "id": string(event.ID), "data": string(event.Data)})
			fmt.Println(string(line))
		})
		time.Sleep(time.Second)
	}
}
