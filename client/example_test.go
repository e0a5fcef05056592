package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
)

// Create an image and upload its data; delete it when that fails.
func ExampleClient_Upload() {
	ctx := context.Background()
	c, err := client.New(client.Config{Endpoint: "unix:///run/vitrine/api.sock"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	img, err := c.Create(ctx, "", []image.Edit{
		{Op: image.EditAdd, Name: "name", Value: "debian-12"},
		{Op: image.EditAdd, Name: "disk_format", Value: "qcow2"},
		{Op: image.EditAdd, Name: "container_format", Value: "bare"},
	})
	if err != nil {
		log.Fatal(err)
	}
	disk, err := os.Open("debian-12.qcow2")
	if err != nil {
		log.Fatal(err)
	}
	defer disk.Close()
	if err := c.Upload(ctx, img.ID, client.Upload{Body: disk, Size: -1}); err != nil {
		log.Fatal(errors.Join(err, c.Delete(ctx, img.ID)))
	}
}

// Save the data of an image. Without an error it is complete and verified.
func ExampleClient_Download() {
	ctx := context.Background()
	c, err := client.New(client.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	d, err := c.Download(ctx, "09d71d45-7b61-42ad-b59c-0234ba01befe", client.DownloadOptions{})
	switch {
	case errors.Is(err, image.ErrNotFound):
		log.Fatal("there is no such image")
	case err != nil:
		log.Fatal(err)
	}
	defer d.Close()
	file, err := os.Create("disk.raw")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	if _, err := io.Copy(file, d); err != nil {
		log.Fatal(err)
	}
	fmt.Println("verified by", d.Algorithm())
}
