// Package upload brings objects to a store: pictures, packages and what names them. A Store is a
// directory, or any service that speaks S3 (package s3). An Uploader uploads many objects at once
// behind handles that keep their order (U1), tries again what failed (U2) and fits its number in
// flight to the link. An Uplink shares the link out between classes of importance. Frames is the
// branch of a channel that uploads its pictures.
package upload
