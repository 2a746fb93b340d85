// A column of Arrow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace harness::corpus {

// 32-bit or 64-bit offsets into the bytes of all captions, and a bitmap of those that are not null.
struct Column {
    const char* data;
    const void* offsets;
    bool wide;
    const std::uint8_t* validity;  // null when every row has a caption
    std::int64_t first, size;      // rows of the buffers

    bool has(std::int64_t row) const { return !validity || (validity[(first + row) >> 3] >> ((first + row) & 7) & 1); }
    const char* begin(std::int64_t row) const {  // of a row or, for size, the end of the last one
        const std::int64_t i = first + row;
        return data + (wide ? static_cast<const std::int64_t*>(offsets)[i] : static_cast<const std::int32_t*>(offsets)[i]);
    }
    std::string_view operator[](std::int64_t row) const { return {begin(row), std::size_t(begin(row + 1) - begin(row))}; }
};

}  // namespace harness::corpus
