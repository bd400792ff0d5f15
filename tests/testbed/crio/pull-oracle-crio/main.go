// pull-oracle-crio says what CRI-O's image library would: which manifest a reference leads to, and which child of an
// index it takes. No daemon and no root. One JSON object per line in, one per line out, in order.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/sirupsen/logrus"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/types"
)

// question is one CRI PullImage call: one image and at most one credential.
type question struct {
	Image    string `json:"image"`
	Username string `json:"username"`
	Password string `json:"password"`
	// TimeoutMs replaces -timeout for this question.
	TimeoutMs int64 `json:"timeoutMs"`
	// Platform of the node, os/architecture[/variant]: which child of the index does it take? Empty: not asked.
	Platform string `json:"platform"`
	// Fetch: read the manifest, too, as a copy does before it looks at anything in it.
	Fetch bool `json:"fetch"`
}

type answer struct {
	// Ref is the normalised reference, without the tag if there is a digest.
	Ref       string `json:"ref"`
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	// Child is the manifest that the platform takes from the index.
	Child string `json:"child"`
	// Error is the library's text, without what CRI-O puts around it.
	Error string `json:"error"`
	Code  string `json:"code"`
	Ms    int64  `json:"ms"`
}

func main() {
	hostsDir := flag.String("hosts-dir", "", "directory with registries.conf, auth.json and certs.d, as in /etc/containers")
	timeout := flag.Duration("timeout", 30*time.Second, "how long one question may take")
	flag.Parse()
	if *hostsDir == "" {
		fatal("-hosts-dir is required: without it, questions would leave the machine")
	}
	logrus.SetLevel(logrus.ErrorLevel)
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
		a := answer{Code: "OK"}
		if err := ask(q, *hostsDir, limit, &a); err != nil {
			a.Error, a.Code = err.Error(), "Unknown"
		}
		a.Ms = time.Since(start).Milliseconds()
		if err := answers.Encode(a); err != nil {
			fatal("write the answer: %v", err)
		}
	}
	if err := lines.Err(); err != nil {
		fatal("read questions: %v", err)
	}
}

func ask(q question, dir string, limit time.Duration, a *answer) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	named, err := reference.ParseDockerRef(q.Image)
	if err != nil {
		return err
	}
	a.Ref = named.String()
	ref, err := docker.NewReference(named)
	if err != nil {
		return err
	}
	sys := &types.SystemContext{
		SystemRegistriesConfPath:    filepath.Join(dir, "registries.conf"),
		SystemRegistriesConfDirPath: filepath.Join(dir, "registries.conf.d"),
		AuthFilePath:                filepath.Join(dir, "auth.json"),
		DockerPerHostCertDirPath:    filepath.Join(dir, "certs.d"),
		RegistriesDirPath:           filepath.Join(dir, "registries.d"),
	}
	// A login without a user is none (server/image_pull.go of CRI-O).
	if q.Username != "" {
		sys.DockerAuthConfig = &types.DockerAuthConfig{Username: q.Username, Password: q.Password}
	}
	source, err := ref.NewImageSource(ctx, sys)
	if err != nil {
		return fmt.Errorf("initializing source docker://%s: %w", a.Ref, err)
	}
	defer source.Close()
	blob, mediaType, err := source.GetManifest(ctx, nil)
	if err != nil {
		return fmt.Errorf("reading manifest of docker://%s: %w", a.Ref, err)
	}
	digest, err := manifest.Digest(blob)
	if err != nil {
		return err
	}
	a.Digest, a.MediaType = digest.String(), mediaType
	if q.Fetch {
		if manifest.MIMETypeIsMultiImage(mediaType) {
			_, err = manifest.ListFromBlob(blob, mediaType)
		} else {
			_, err = manifest.FromBlob(blob, mediaType)
		}
		if err != nil {
			return fmt.Errorf("parsing manifest of docker://%s: %w", a.Ref, err)
		}
	}
	if q.Platform == "" || !manifest.MIMETypeIsMultiImage(mediaType) {
		return nil
	}
	platform := strings.Split(q.Platform+"//", "/")
	sys.OSChoice, sys.ArchitectureChoice, sys.VariantChoice = platform[0], platform[1], platform[2]
	list, err := manifest.ListFromBlob(blob, mediaType)
	if err != nil {
		return err
	}
	child, err := list.ChooseInstance(sys)
	if err != nil {
		return fmt.Errorf("choosing an image from manifest list docker://%s: %w", a.Ref, err)
	}
	a.Child = child.String()
	return nil
}

func fatal(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "pull-oracle-crio: "+format+"\n", args...)
	os.Exit(1)
}
