package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// store brings the manifest into an empty content store as the transfer service does (core/transfer/local/pull.go), and
// reads it as whoever starts a container does.
func store(ctx context.Context, resolver remotes.Resolver, name string, desc ocispec.Descriptor) error {
	if desc.MediaType == images.MediaTypeDockerSchema1Manifest {
		return fmt.Errorf("schema 1 image manifests are no longer supported: %w", errdefs.ErrInvalidArgument)
	}
	dir, err := os.MkdirTemp("", "pull-oracle")
	if err != nil {
		fatal("a directory: %v", err)
	}
	defer os.RemoveAll(dir)
	content, err := local.NewStore(dir)
	if err != nil {
		fatal("a content store: %v", err)
	}
	fetcher, err := resolver.Fetcher(ctx, name)
	if err != nil {
		return err
	}
	if _, err := remotes.FetchHandler(content, fetcher)(ctx, desc); err != nil {
		return err
	}
	if images.IsIndexType(desc.MediaType) {
		_, err = images.Children(ctx, content, desc)
		return err
	}
	_, err = images.Manifest(ctx, content, desc, nil)
	return err
}
