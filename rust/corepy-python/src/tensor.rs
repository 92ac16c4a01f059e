//! The Tensor class: what it is and what it says of itself. Other files add its methods by topic.

use crate::argument::Argument;
use crate::enter::error;
use corepy_runtime::dtype::COMPLEX;
use corepy_runtime::{DType, Error, Kind, Tensor};
use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMemoryView, PyTuple};

/// A typed, strided array over reference-counted memory.
///
/// `cp.Tensor(data)` is `cp.asarray(data)`. Views made by slicing, reshaping or permuting share the
/// memory; `t[...] = value` and the in-place operators write through them.
///
/// Examples
/// --------
/// >>> import corepy as cp
/// >>> t = cp.Tensor([[1, 2], [3, 4]])
/// >>> t.T.tolist()
/// [[1, 3], [2, 4]]
#[pyclass(name = "Tensor", module = "corepy", frozen, weakref)]
pub struct PyTensor(pub Tensor);

impl PyTensor {
    /// A new Python object of a tensor.
    #[inline]
    pub fn object(py: Python<'_>, tensor: Tensor) -> PyResult<Bound<'_, PyTensor>> {
        Bound::new(py, PyTensor(tensor))
    }
}

/// A view of one part of every element, which begins so many bytes in.
fn part<'py>(py: Python<'py>, x: &Tensor, offset: i64) -> PyResult<Bound<'py, PyTensor>> {
    let offset = if x.size() == 0 { 0 } else { offset };
    PyTensor::object(py, x.view_as(offset, x.dtype().real_part(), x.shape(), x.strides()))
}

/// The device of every tensor so far.
pub const DEVICE: &str = "cpu";

#[pymethods]
impl PyTensor {
    #[new]
    #[pyo3(signature = (obj, /, *, dtype=None, device=None, copy=Argument::Given(None)), text_signature = "(obj, /, *, dtype=None, device=None, copy=None)")]
    fn new<'py>(
        py: Python<'py>,
        obj: &Bound<'py, PyAny>,
        dtype: Option<&Bound<'py, PyAny>>,
        device: Option<&Bound<'py, PyAny>>,
        copy: Argument<Option<bool>>,
    ) -> PyResult<Bound<'py, PyTensor>> {
        let copy = copy.read(py, "asarray", "copy")?;
        crate::functions::creation::asarray(py, obj, dtype, device, copy)
    }

    /// Extents of the axes.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.shape())
    }

    /// Bytes from one element to the next along each axis.
    #[getter]
    fn strides<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.strides())
    }

    /// Type of the elements.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, crate::dtype::PyDType>> {
        crate::dtype::object(py, self.0.dtype())
    }

    /// Number of axes.
    #[getter]
    fn ndim(&self) -> usize {
        self.0.ndim()
    }

    /// Number of elements.
    #[getter]
    fn size(&self) -> usize {
        self.0.size()
    }

    /// Bytes of an element.
    #[getter]
    fn itemsize(&self) -> usize {
        self.0.itemsize()
    }

    /// Bytes of all elements.
    #[getter]
    fn nbytes(&self) -> usize {
        self.0.size() * self.0.itemsize()
    }

    /// Where the elements are: always "cpu".
    #[getter]
    fn device(&self) -> &'static str {
        DEVICE
    }

    /// Whether the elements may not be written through this tensor.
    #[getter]
    fn readonly(&self) -> bool {
        self.0.is_read_only()
    }

    /// A view of a matrix with its axes exchanged; raises ValueError unless there are two.
    #[getter(T)]
    fn transposed<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTensor>> {
        if self.0.ndim() != 2 {
            return Err(error(py, Error::TransposeAxes { op: "T", ndim: self.0.ndim() }));
        }
        crate::functions::manipulation::matrix_transpose_of(py, "T", &self.0)
    }

    /// A view with the last two axes exchanged; raises ValueError with fewer.
    #[getter(mT)]
    fn matrix_transposed<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTensor>> {
        crate::functions::manipulation::matrix_transpose_of(py, "mT", &self.0)
    }

    /// A view of the real parts; of every element where they have no other.
    #[getter]
    fn real<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTensor>> {
        part(py, &self.0, 0)
    }

    /// A view of the imaginary parts; raises TypeError for other dtypes than complex ones.
    #[getter]
    fn imag<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTensor>> {
        let dtype = self.0.dtype();
        if dtype.kind() != Kind::Complex {
            let (dtype, accepted) = (dtype.name(), COMPLEX.names);
            return Err(error(py, Error::DtypeRefused { op: "imag", dtype, accepted }));
        }
        part(py, &self.0, dtype.real_part().itemsize() as i64)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        match self.0.shape().first() {
            Some(&extent) => Ok(extent as usize),
            None => Err(error(py, Error::NoLength { op: "len" })),
        }
    }

    fn __iter__(slf: &Bound<'_, Self>) -> PyResult<Rows> {
        if slf.get().0.ndim() == 0 {
            return Err(error(slf.py(), Error::NoLength { op: "iter" }));
        }
        Ok(Rows { tensor: slf.get().0.clone(), next: std::sync::atomic::AtomicI64::new(0) })
    }

    /// Bytes of the object and, where the tensor is their only owner, of its elements.
    fn __sizeof__(&self) -> usize {
        let storage = self.0.storage();
        let own = if storage.owner() == "corepy" && storage.handles() == 1 { storage.bytes() } else { 0 };
        size_of::<PyTensor>() + 4 * size_of::<usize>() + own
    }

    /// NumPy's operators leave a Tensor on their other side to the Tensor.
    #[classattr]
    fn __array_ufunc__(py: Python<'_>) -> Py<PyAny> {
        py.None()
    }

    /// NumPy asks for this where the buffer protocol has no format for the dtype; without an answer it
    /// would make an array of one object.
    #[pyo3(signature = (dtype=None, *, copy=Argument::Given(None)), text_signature = "($self, dtype=None, *, copy=None)")]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Argument<Option<bool>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, own) = (slf.py(), slf.get().0.dtype());
        let copy = copy.read(py, "__array__", "copy")?;
        if own == DType::Bfloat16 {
            return Err(error(py, Error::NumpyBfloat16 { op: "__array__" }));
        }
        let options = PyDict::new(py);
        if let Some(copy) = copy {
            options.set_item("copy", copy)?;
        }
        py.import("numpy")?.call_method("asarray", (PyMemoryView::from(slf)?, dtype), Some(&options))
    }

    /// The module that implements the Array API for this tensor.
    #[pyo3(signature = (*, api_version=Argument::Given(None)), text_signature = "($self, *, api_version=None)")]
    fn __array_namespace__<'py>(
        &self,
        py: Python<'py>,
        api_version: Argument<Option<String>>,
    ) -> PyResult<Bound<'py, PyModule>> {
        const VERSIONS: [&str; 5] = ["2021.12", "2022.12", "2023.12", "2024.12", "2025.12"];
        const OP: &str = "__array_namespace__";
        let given = api_version.read(py, OP, "api_version")?;
        if let Some(version) = given.filter(|v| !VERSIONS.contains(&v.as_str())) {
            return Err(error(py, Error::ApiVersion { op: OP, version, versions: VERSIONS.join(", ") }));
        }
        py.import("corepy")
    }

    /// The tensor itself: "cpu" is the only device.
    #[pyo3(signature = (device, /, *, stream=None), text_signature = "($self, device, /, *, stream=None)")]
    fn to_device<'py>(
        slf: &Bound<'py, Self>,
        device: &Bound<'py, PyAny>,
        stream: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        crate::argument::check_device("to_device", Some(device))?;
        crate::argument::check_stream("to_device", stream)?;
        Ok(slf.clone())
    }
}

/// Rows between two looks at signals: some 5 ms of iterating.
const POLL: i64 = 1 << 16;

/// Iterator over a tensor's first axis.
#[pyclass(module = "corepy", frozen)]
pub struct Rows {
    tensor: Tensor,
    next: std::sync::atomic::AtomicI64,
}

#[pymethods]
impl Rows {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTensor>> {
        let row = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (shape, strides) = (self.tensor.shape(), self.tensor.strides());
        if row >= shape[0] {
            return Err(PyStopIteration::new_err(()));
        }
        // list(), any() and others that loop in C never look themselves.
        if row % POLL == POLL - 1 {
            py.check_signals()?;
        }
        PyTensor::object(py, self.tensor.view(row * strides[0], &shape[1..], &strides[1..]))
    }

    fn __length_hint__(&self) -> usize {
        let next = self.next.load(std::sync::atomic::Ordering::Relaxed);
        (self.tensor.shape()[0] - next).max(0) as usize
    }
}
