package blob_test

import (
	"context"
	"sync"
	"testing"

	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/blob/blobtest"
	"github.com/postrider/postrider/internal/vfs"
)

// references stands for the mailstore's in these tests.
type references struct {
	mu sync.Mutex
	m  map[int64]bool
}

func (r *references) set(pack int64, referred bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m == nil {
		r.m = map[int64]bool{}
	}
	r.m[pack] = referred
}

func (r *references) has(pack int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.m[pack]
}

func opener(fsys vfs.FS, dir string) blobtest.Opener {
	refs := &references{}
	cat := blob.NewMemoryCatalog(refs.has)
	return blobtest.Opener{
		Open: func(opt blob.Options) (*blob.Store, error) {
			opt.FS, opt.Dir, opt.Catalog = fsys, dir, cat
			return blob.Open(context.Background(), opt)
		},
		Refer: refs.set,
	}
}

func TestContractMemory(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blobtest.Opener { return opener(vfs.NewVolatile(), "packs") })
}

func TestContractDisk(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blobtest.Opener { return opener(vfs.OS{}, t.TempDir()+"/packs") })
}

func TestNewMemory(t *testing.T) {
	s, err := blob.NewMemory(context.Background(), blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	it := blobtest.NewItem(1, 300<<10, 9)
	if err := it.Put(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	if err := it.Check(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}
