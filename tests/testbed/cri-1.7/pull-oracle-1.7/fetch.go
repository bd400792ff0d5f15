package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/containerd/content/local"
	"github.com/containerd/containerd/images"
	"github.com/containerd/containerd/remotes"
	"github.com/containerd/containerd/remotes/docker/schema1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// store brings the manifest into an empty content store as a pull of the CRI does (pull.go, fetch), and reads it as
// whoever starts a container does. Docker schema 1 is read for a conversion.
func store(ctx context.Context, resolver remotes.Resolver, name string, desc ocispec.Descriptor) error {
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
	if desc.MediaType == images.MediaTypeDockerSchema1Manifest { //nolint:staticcheck // what 1.7 still does
		if _, err := schema1.NewConverter(content, fetcher).Handle(ctx, desc); err != nil {
			return fmt.Errorf("schema 1: %w", err)
		}
		return nil
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
