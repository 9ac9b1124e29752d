// Reads a document from stdin into the types of its own project. A field that they do not have, or a value of another type, is an
// error: Kubernetes and Grafana ignore the first, and so a misspelled field has no effect and no message.
//
//	shapes ServiceMonitor < manifest.json
//	shapes Dashboard < dashboard.json
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/json"
)

func read(kind string, text []byte) error {
	switch kind {
	case "ServiceMonitor":
		// As Kubernetes does, it tells sourceLabels from sourcelabels.
		unknown, err := json.UnmarshalStrict(text, &monitoring.ServiceMonitor{})
		return errors.Join(append(unknown, err)...)
	case "Dashboard":
		// With these the options and the queries of panels are read into their own types, too.
		plugins.RegisterDefaultPlugins()
		var read dashboard.Dashboard
		if err := found(read.UnmarshalJSONStrict(text)); err != nil {
			return err
		}
		return found(read.Validate())
	}
	return fmt.Errorf("no such kind")
}

// Grafana's functions return an empty list of errors in an error that is not nil.
func found(err error) error {
	var list cog.BuildErrors
	if errors.As(err, &list) && len(list) == 0 {
		return nil
	}
	return err
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: shapes ServiceMonitor|Dashboard < document")
		os.Exit(2)
	}
	text, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = read(os.Args[1], text)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
