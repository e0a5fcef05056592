// Package client speaks to a Vitrine daemon, or to any other server of the OpenStack Image API v2: the verbs of the
// service again, over HTTP. Start reading at New; the errors that it returns are those of package image.
//
//	c, err := client.New(client.Config{Endpoint: "http://127.0.0.1:9292"})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	for img, err := range c.List(ctx, image.Query{Limit: 100}) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(img.ID, img.Status)
//	}
package client
