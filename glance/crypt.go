package glance

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"unicode/utf8"
)

// decrypt returns what Glance has encrypted with its metadata_encryption_key: AES-CBC with the vector before the text, which
// ends at its last NUL, all of it in the base64 of URLs. Source: glance/common/crypt.py.
func decrypt(key, text string) (string, error) {
	sealed, err := base64.URLEncoding.DecodeString(text)
	if err != nil || len(sealed) < 2*aes.BlockSize || len(sealed)%aes.BlockSize != 0 {
		return "", errors.New("the location is neither a URL nor encrypted")
	}
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		return "", fmt.Errorf("metadata_encryption_key: %w", err)
	}
	plain := make([]byte, len(sealed)-aes.BlockSize)
	cipher.NewCBCDecrypter(block, sealed[:aes.BlockSize]).CryptBlocks(plain, sealed[aes.BlockSize:])
	end := bytes.LastIndexByte(plain, 0)
	if end < 0 || !utf8.Valid(plain[:end]) || !isURL(string(plain[:end])) {
		return "", errors.New("the location is encrypted with another metadata_encryption_key")
	}
	return string(plain[:end]), nil
}
