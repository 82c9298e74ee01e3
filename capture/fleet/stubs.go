package fleet

import (
	"context"
	"errors"

	"github.com/moncap/moncap/capture/bundle"
)

var errLater = errors.New("not built yet")

// Work carries out runs until stop is closed.
func (s *Store) Work(_ context.Context, _ WorkerOptions, _ <-chan struct{}) error { return errLater }

// Clean has a worker go on with a dirty run.
func (s *Store) Clean(_ context.Context, _, _ string) error { return errLater }

// Record writes a run into the history that no worker did.
func (s *Store) Record(_ context.Context, _ *bundle.Bundle, _ *Report, _ string, _ error) error {
	return errLater
}

// FetchBundle unpacks the bundle of a run into a folder.
func (s *Store) FetchBundle(_ context.Context, _, _ string) error { return errLater }
