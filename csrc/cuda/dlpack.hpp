// Tensors in DLPack capsules, as PyTorch, CuPy and JAX export them (https://dmlc.github.io/dlpack/latest/c_api.html).
//
// Only the structures that begin a capsule named "dltensor" are declared here. A capsule that is read but not consumed frees
// its tensor itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

namespace harness {

struct DLDevice {
    std::int32_t type, id;
};
constexpr std::int32_t kDLCUDA = 2;

struct DLDataType {
    std::uint8_t code, bits;
    std::uint16_t lanes;
    bool operator==(const DLDataType& other) const { return code == other.code && bits == other.bits && lanes == other.lanes; }
};
enum DLCode : std::uint8_t { kDLInt = 0, kDLUInt = 1, kDLFloat = 2, kDLBfloat = 4, kDLBool = 6 };

struct DLTensor {
    void* data;
    DLDevice device;
    std::int32_t ndim;
    DLDataType type;
    std::int64_t *shape, *strides;  // strides in entries; null: contiguous
    std::uint64_t byte_offset;
};

// A contiguous tensor on a CUDA device, borrowed from a capsule. Anything else is a TypeError or a ValueError.
class CudaTensor {
    std::string name;
    const DLTensor* tensor;

public:
    CudaTensor(const char* name, const pybind11::capsule& capsule) : name(name) {
        const char* const kind = capsule.name();
        if (!kind || std::string(kind) != "dltensor") throw pybind11::type_error(this->name + " must be an unused DLPack capsule");
        tensor = capsule.get_pointer<const DLTensor>();
        require(tensor->device.type == kDLCUDA, "must be on a CUDA device");
        std::int64_t stride = 1;
        for (int axis = tensor->ndim - 1; axis >= 0; stride *= tensor->shape[axis--])
            require(!tensor->strides || tensor->shape[axis] <= 1 || tensor->strides[axis] == stride, "must be contiguous");
    }

    void require(bool condition, const std::string& sentence) const {
        if (!condition) throw pybind11::value_error(name + " " + sentence);
    }
    void require_same_device(const CudaTensor& other) const {
        require(tensor->device.id == other.tensor->device.id, "must be on the device of " + other.name);
    }
    void require_shape(const std::vector<std::int64_t>& wanted) const {
        std::string text;
        for (const std::int64_t size : wanted) text += (text.empty() ? "" : ", ") + std::to_string(size);
        require(shape() == wanted, "must have shape (" + text + ")");
    }

    std::vector<std::int64_t> shape() const { return {tensor->shape, tensor->shape + tensor->ndim}; }
    DLDataType type() const { return tensor->type; }
    template <class T>
    T* data() const {
        return reinterpret_cast<T*>(static_cast<char*>(tensor->data) + tensor->byte_offset);
    }
};

}  // namespace harness
