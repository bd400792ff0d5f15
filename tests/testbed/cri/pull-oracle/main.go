// pull-oracle says what containerd would: it resolves image references with
// containerd's own resolver, host configuration and authorizer, in process, with
// no daemon and no root. One JSON object per line in, one per line out, in order.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/log"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"google.golang.org/grpc/status"
)

// The header that a registry sees from the containerd release this module pins.
const userAgent = "containerd/2.2.9"

// question is one CRI PullImage call: one image and at most one credential.
type question struct {
	Image    string `json:"image"`
	Username string `json:"username"`
	Password string `json:"password"`
	// TimeoutMs replaces -timeout for this question.
	TimeoutMs int64 `json:"timeoutMs"`
	// Platform of the node, os/architecture[/variant]: which child of the index does it take? Empty: not asked.
	Platform string `json:"platform"`
	// Fetch the manifest, too, as a pull does before it looks at anything in it.
	Fetch bool `json:"fetch"`
}

type answer struct {
	// Ref is the normalised reference: what containerd puts between the quotes of its messages.
	Ref       string `json:"ref"`
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	// Child is the manifest that the platform takes from the index.
	Child string `json:"child"`
	// Error is the resolver's text without the prefixes of the CRI layer.
	Error string `json:"error"`
	// Code is the gRPC code that the kubelet would see.
	Code string `json:"code"`
	Ms   int64  `json:"ms"`
}

func main() {
	hostsDir := flag.String("hosts-dir", "", "directory of hosts.toml directories, as containerd's config_path")
	timeout := flag.Duration("timeout", 30*time.Second, "how long one question may take")
	flag.Parse()
	if *hostsDir == "" {
		fatal("-hosts-dir is required: without it, questions would leave the machine")
	}
	if err := log.SetLevel("error"); err != nil {
		fatal("set the log level: %v", err)
	}
	answers := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			fatal("question is not JSON: %v", err)
		}
		limit := *timeout
		if q.TimeoutMs > 0 {
			limit = time.Duration(q.TimeoutMs) * time.Millisecond
		}
		start := time.Now()
		a := ask(q, *hostsDir, limit)
		a.Ms = time.Since(start).Milliseconds()
		if err := answers.Encode(a); err != nil {
			fatal("write the answer: %v", err)
		}
	}
	if err := lines.Err(); err != nil {
		fatal("read questions: %v", err)
	}
}

func ask(q question, hostsDir string, limit time.Duration) (a answer) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	named, err := reference.ParseDockerRef(q.Image)
	if err != nil {
		return refused(a, err)
	}
	a.Ref = named.String()
	resolver := docker.NewResolver(docker.ResolverOptions{
		Headers: http.Header{"User-Agent": []string{userAgent}},
		Hosts: config.ConfigureHosts(ctx, config.HostOptions{
			HostDir:     config.HostDirFromRoot(hostsDir),
			Credentials: func(string) (string, string, error) { return q.Username, q.Password, nil },
		}),
	})
	name, desc, err := resolver.Resolve(ctx, a.Ref)
	if err != nil {
		return refused(a, err)
	}
	a.Digest, a.MediaType, a.Code = desc.Digest.String(), desc.MediaType, "OK"
	if q.Fetch {
		if err := store(ctx, resolver, name, desc); err != nil {
			return refused(a, err)
		}
	}
	if q.Platform == "" {
		return a
	}
	platform, err := platforms.Parse(q.Platform)
	if err != nil {
		fatal("platform: %v", err)
	}
	fetcher, err := resolver.Fetcher(ctx, name)
	if err == nil {
		a.Child, err = choose(ctx, fetcher, desc, platform)
	}
	if err != nil {
		return refused(a, err)
	}
	return a
}

func refused(a answer, err error) answer {
	a.Error = err.Error()
	a.Code = status.Code(errgrpc.ToGRPC(err)).String()
	return a
}

func fatal(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "pull-oracle: "+format+"\n", args...)
	os.Exit(1)
}
