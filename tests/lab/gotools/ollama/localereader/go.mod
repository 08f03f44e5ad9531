module github.com/mattn/go-localereader

go 1.26
