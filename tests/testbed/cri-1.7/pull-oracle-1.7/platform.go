package main

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/images"
	"github.com/containerd/containerd/remotes"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fetched is what a pull has brought to the node so far.
type fetched map[digest.Digest][]byte

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

func (f fetched) ReaderAt(_ context.Context, desc ocispec.Descriptor) (content.ReaderAt, error) {
	blob, ok := f[desc.Digest]
	if !ok {
		return nil, fmt.Errorf("content digest %s: %w", desc.Digest, errdefs.ErrNotFound)
	}
	return reader{bytes.NewReader(blob)}, nil
}

func (f fetched) fetch(ctx context.Context, fetcher remotes.Fetcher, desc ocispec.Descriptor) error {
	body, err := fetcher.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer body.Close()
	f[desc.Digest], err = io.ReadAll(body)
	return err
}

// choose says which child of an index the client of a node with this platform ends up with: one of those that Only()
// lets through (pull.go); the CRI layer then looks for its configuration.
func choose(ctx context.Context, fetcher remotes.Fetcher, ref string, desc ocispec.Descriptor, platform ocispec.Platform) (string, error) {
	pull := func(err error) error { return fmt.Errorf("failed to pull and unpack image %q: %w", ref, err) }
	has, only := fetched{}, platforms.Only(platform)
	if err := has.fetch(ctx, fetcher, desc); err != nil {
		return "", pull(err)
	}
	filtered := images.FilterPlatforms(images.ChildrenHandler(has), only)
	children, err := images.LimitManifests(filtered, only, 1)(ctx, desc)
	if err != nil {
		return "", pull(err)
	}
	child := children[0]
	if err := has.fetch(ctx, fetcher, child); err != nil {
		return "", pull(err)
	}
	manifest, err := images.Manifest(ctx, has, child, nil)
	if err != nil {
		return "", pull(err)
	}
	if err := has.fetch(ctx, fetcher, manifest.Config); err != nil {
		return "", pull(err)
	}
	if _, err := images.Config(ctx, has, desc, only); err != nil {
		return "", fmt.Errorf("get image config descriptor: %w", err)
	}
	return child.Digest.String(), nil
}
