#ifndef JPEG_GUARD_H
#define JPEG_GUARD_H
#endif
