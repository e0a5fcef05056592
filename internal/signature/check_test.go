package signature_test

import (
	"errors"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/signature"
)

// TestACheckGoesOnAsItWas changes the properties after they were asked about, and has the check travel through a record.
func TestACheckGoesOnAsItWas(t *testing.T) {
	data := read(t, "data")
	for _, keyType := range keyTypes {
		p := properties(keyType, "SHA-256", string(read(t, keyType+".SHA-256.sig")))
		v, err := signature.New(signature.Config{Certificates: one{certificate(t, keyType+".crt")}})
		if err != nil {
			t.Fatal(err)
		}
		asked, err := v.Check(t.Context(), "", p)
		if err != nil {
			t.Fatal(err)
		}
		p[signature.Value] = "AAAA"
		task := &image.Task{}
		if err := task.SetPlan(&image.ImportPlan{Signature: asked.Record()}); err != nil {
			t.Fatal(err)
		}
		plan, err := task.Plan()
		if err != nil {
			t.Fatal(err)
		}
		resumed, err := signature.Resume(plan.Signature)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*signature.Check{asked, resumed} {
			if c.HashAlgo() != "sha256" {
				t.Errorf("%s: the hash is %s", keyType, c.HashAlgo())
			}
			h := c.Hash()
			h.Write(data)
			if err := c.Verify(h.Sum(nil)); err != nil {
				t.Errorf("%s: %v", keyType, err)
			}
			h.Write(data)
			if err := c.Verify(h.Sum(nil)); !errors.Is(err, image.ErrInvalid) {
				t.Errorf("%s: Verify of other data = %v", keyType, err)
			}
		}
	}
}

func TestWithoutAllPropertiesThereIsNoCheck(t *testing.T) {
	v, err := signature.New(signature.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p := properties("RSA-PSS", "SHA-256", "AAAA")
	if c, err := v.Check(t.Context(), "", p); c != nil || !errors.Is(err, image.ErrInvalid) {
		t.Errorf("without certificates: %v, %v", c, err)
	}
	delete(p, signature.Value)
	c, err := v.Check(t.Context(), "", p)
	if c != nil || err != nil || c.Record() != nil {
		t.Errorf("without a property: %v, %v", c, err)
	}
	if c, err := signature.Resume(nil); c != nil || err != nil {
		t.Errorf("of no record: %v, %v", c, err)
	}
	if c, err := signature.Resume(&image.ImportSignature{Properties: p}); c != nil || err == nil {
		t.Errorf("of half a record: %v, %v", c, err)
	}
}
